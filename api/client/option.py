"""Options that several commands have, and how their texts are read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

Url = Annotated[str | None, typer.Option(help="Where the API is: QUEUEQL_URL.  [default: http://127.0.0.1:8000]")]
Token = Annotated[str | None, typer.Option(help="Who asks: QUEUEQL_TOKEN.  [default: that of `queueql up`]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|w)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class State(StrEnum):
    """JobState of the schema."""

    SCHEDULED = "SCHEDULED"
    BLOCKED = "BLOCKED"
    QUEUED = "QUEUED"
    ACTIVE = "ACTIVE"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"


FINAL = frozenset({State.COMPLETED, State.DEAD, State.CANCELLED})


class Priority(StrEnum):
    """Priority of the schema."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    NORMAL = "NORMAL"
    LOW = "LOW"
    BACKGROUND = "BACKGROUND"


class Level(StrEnum):
    """LogLevel of the schema."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def read_length(text: str) -> timedelta:
    """Read a length of time: `90s`, `1h30m`, `2d`. Raises typer.BadParameter."""
    parts = _LENGTH.findall(text)
    if not parts or _LENGTH.sub("", text).strip():
        raise typer.BadParameter(f"{text!r} is no length of time; write 90s, 10m, 1h30m or 2d.")
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts))
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long.") from None


def read_moment(text: str) -> datetime:
    """Read a moment, `2026-03-01 18:00` by the clock here or with an offset. Raises typer.BadParameter."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-03-01, 2026-03-01 18:00 or 2026-03-01T18:00:00+01:00."
        ) from None


def read_past(text: str, now: datetime) -> datetime:
    """Read a moment, or how long ago it was. Raises typer.BadParameter."""
    if not _LENGTH.match(text):
        return read_moment(text)
    try:
        return now - read_length(text)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long ago.") from None


def iso_length(length: timedelta) -> str:
    """Write a length of time as the API reads it."""
    return f"PT{length.total_seconds():.3f}S"
