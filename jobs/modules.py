"""Importing the modules that register tasks."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from jobs.errors import PackageShadowed, StartError, TasksNotFound
from jobs.task import Task, default_registry

log = logging.getLogger(__name__)  # not structlog's: commands that set no log up print to stdout

_OURS = ("jobs", "api")


def import_tasks(modules: Iterable[str]) -> None:
    """Import modules, so that their tasks are in the default registry. One that has no task is logged.

    Raises TasksNotFound where one is missing, fails or is hidden by another one of its name, and PackageShadowed
    where it means the user's own package `jobs` or `api`, which cannot be found beside QueueQL's. A StartError of
    a task's declaration passes.
    """
    for module in modules:
        _check_name(module)
        _check_hidden(module)
        known = len(default_registry)
        try:
            importlib.import_module(module)
        except StartError:
            raise
        except ImportError as error:
            raise _missing(module, error) from None
        except (Exception, SystemExit) as error:  # the user's code: whatever it raises, the process cannot start
            raise TasksNotFound(f"The tasks module {module} fails: {_described(error)}.") from error
        if len(default_registry) == known and not _has_tasks(module):
            log.warning("The tasks module %s registers no task; decorate its functions with @task.", module)


def _check_name(module: str) -> None:
    """Raise TasksNotFound for the path of a file, which is easily given instead of a module's name."""
    if not ("/" in module or "\\" in module or module.endswith(".py")):
        return
    path = Path(module.replace("\\", "/"))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    name = ".".join(path.with_suffix("").parts if path.suffix == ".py" else path.parts)
    meant = all(part.isidentifier() for part in name.split("."))
    hint = f"Did you mean {name}?" if meant else "Name it as an import does, from the folder that you start in."
    raise TasksNotFound(f"{module} is a file, and tasks are given as modules. {hint}")


def _check_hidden(module: str) -> None:
    """Raise TasksNotFound where this folder has the module, but Python would take another one of that name."""
    package = module.partition(".")[0]
    own = _own_file(module)
    if own is None or package in _OURS:
        return
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was made by hand, such as __main__
        return
    if spec is None:
        return
    folder = Path.cwd().resolve()
    places = [spec.origin, *(spec.submodule_search_locations or ())]
    if any(place and Path(place).resolve() in (folder / f"{package}.py", folder / package) for place in places):
        return
    whose = "Python's own module" if package in sys.stdlib_module_names else f"an installed module ({spec.origin})"
    raise TasksNotFound(
        f"{package} is {whose}, not the {own.relative_to(Path.cwd()).parts[0]} of this folder: rename it."
    )


def _own_file(module: str) -> Path | None:
    path = Path.cwd().joinpath(*module.split("."))
    return next((file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if file.is_file()), None)


def _has_tasks(module: str) -> bool:
    """Tell whether a module, which may have been imported before, declares a task or has one among its names."""
    declared = (getattr(task.function, "__module__", "") for task in default_registry)
    named = any(isinstance(value, Task) for value in vars(sys.modules[module]).values())
    return named or any(name == module or name.startswith(f"{module}.") for name in declared)


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
    if isinstance(error, SystemExit):
        text = f"it calls sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, SyntaxError):
        return text
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text
