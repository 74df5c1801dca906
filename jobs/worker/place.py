"""Finding a task in another process: by importing its function."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from jobs.errors import TaskInvalid
from jobs.signature import Signature
from jobs.task import Task, TaskDefinition
from jobs.worker.wire import Place


def locate(task: Task[..., Any]) -> Place:
    """Say where a process of its own finds the task. Raises TaskInvalid where importing does not lead to it."""
    function = task.function
    module, name = str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", ""))
    if module == "__main__":
        raise _unfit(task, "it is defined in the program that was started (__main__)")
    if "<" in name or not name:
        raise _unfit(task, f"{name or 'it'} is defined inside of another function")
    try:
        found = _look_up(sys.modules.get(module), name)
    except AttributeError:
        found = None
    known = found is task or found is function or (isinstance(found, Task) and found.function is function)
    if not known or type(task.signature) is not Signature or (not isinstance(found, Task) and task.no_retry):
        raise _unfit(task, f"importing {module}.{name} does not lead to it")
    return Place(module, name)


def importable(task: Task[..., Any]) -> bool:
    """Tell whether a process of its own would find the task."""
    try:
        locate(task)
    except TaskInvalid:
        return False
    return True


def modules(tasks: Iterable[Task[..., Any]]) -> set[str]:
    """Return the modules of all tasks that can be imported."""
    return {locate(task).module for task in tasks if importable(task)}


def _unfit(task: Task[..., Any], why: str) -> TaskInvalid:
    return TaskInvalid(
        f"Task {task.name} cannot run in a process of its own, because {why}; a task at the top level of a module can."
    )


def find(place: Place, name: str) -> Task[..., Any]:
    """Import the task of this name. Raises what the module raises, and AttributeError."""
    found = _look_up(importlib.import_module(place.module), place.name)
    if isinstance(found, Task):
        return found
    signature = Signature(found, name)
    definition = TaskDefinition(name=name, args_schema=signature.args_schema)
    return Task(found, definition, signature, ())


def _look_up(holder: Any, name: str) -> Any:
    for part in name.split("."):
        holder = getattr(holder, part)
    return holder
