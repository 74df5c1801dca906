"""Importing the modules that register tasks."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterable
from pathlib import Path

from jobs.errors import PackageShadowed, StartError, TasksNotFound

_OURS = ("jobs", "api")


def import_tasks(modules: Iterable[str]) -> None:
    """Import modules, so that their tasks are in the default registry.

    Raises TasksNotFound where one is missing or fails, and PackageShadowed where it means the user's own package
    `jobs` or `api`, which cannot be found beside QueueQL's. A StartError of a task's declaration passes.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except StartError:
            raise
        except ImportError as error:
            raise _missing(module, error) from None
        except Exception as error:  # it is the user's code: whatever it raises, the process cannot start
            raise TasksNotFound(f"The tasks module {module} fails: {_described(error)}.") from error


def _missing(module: str, error: ImportError) -> StartError:
    name = error.name or ""
    package = name.partition(".")[0]
    if package in _OURS and _in_this_folder(package):
        return PackageShadowed(
            f"{module} needs {name}, but a package `{package}` of your own cannot be used beside QueueQL's: rename it."
        )
    if isinstance(error, ModuleNotFoundError) and (module == name or module.startswith(f"{name}.")):
        return TasksNotFound(
            f"There is no tasks module {module}, neither in {Path.cwd()} nor among the installed packages."
        )
    return TasksNotFound(f"The tasks module {module} fails: {_described(error)}.")


def _in_this_folder(package: str) -> bool:
    own = Path(__file__).parent.parent / package
    return any(path.exists() and path.resolve() != own for path in (Path.cwd() / package, Path.cwd() / f"{package}.py"))


def _described(error: BaseException) -> str:
    """Describe an error with the line of code that it comes from."""
    text = f"{type(error).__name__}: {error}".rstrip(".")
    if isinstance(error, SyntaxError):
        return text
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text
