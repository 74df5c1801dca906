"""Names that a request is narrowed down to. No I/O."""

from __future__ import annotations

from jobs.errors import InvalidOption
from jobs.task import NAME_PATTERN


def check_queue(name: str | None, *path: str | int) -> None:
    """Raise InvalidOption where no queue can have this name; None names none. `path` leads to it, if not `queue`."""
    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise InvalidOption(
            f"{name[:128]!r} is not a name of a queue: 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-'.",
            path=path or ("queue",),
        )


def check_task(name: str | None) -> None:
    """Raise InvalidOption where no task can have this name; None names none. SAQ's may be almost any text."""
    if name == "":
        raise InvalidOption("`task` is empty; give a name.", path=("task",))
    if name and "\x00" in name:
        raise InvalidOption("`task` has a NUL character, which no name can have.", path=("task",))
