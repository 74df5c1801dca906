"""What an answer means to a command where nothing was done: a refusal, or an object that is not there."""

from __future__ import annotations

from typing import Any, TypeVar

from jobs.errors import Missing, Refused

T = TypeVar("T")


def refuse(errors: list[dict[str, Any]]) -> None:
    """Raise Refused or Missing where a mutation has `userErrors`."""
    if errors:
        raise refusal(errors[0])


def refusal(error: dict[str, Any]) -> Refused:
    """Return what a user error means for a command."""
    kind = Missing if error["code"] == "NOT_FOUND" else Refused
    return kind(error["message"], reason=error["code"])


def found(value: T | None, what: str, name: str) -> T:
    """Return an object that was asked for by its name. Raises Missing."""
    if value is None:
        raise Missing(f'There is no {what} "{name[:128]}".', reason="NOT_FOUND")
    return value
