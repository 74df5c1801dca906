"""Records that cannot be read: what is kept of them, so that nothing stops for them and nothing is lost. No I/O."""

from __future__ import annotations

from enum import StrEnum

import msgspec

REASON_MAX = 1_024
RECORD_MAX = 1_048_576
"""Longest record that is kept, in characters; what is longer is cut."""
REF_MAX = 255


class Source(StrEnum):
    """Where a record was found that cannot be read."""

    EVENT = "EVENT"
    """An event on its way to history: its job may show less than what happened."""
    JOB = "JOB"
    """A job in the database: it is shown without what cannot be read, or not at all."""
    ATTEMPT = "ATTEMPT"
    """An attempt in the database."""
    LOG_LINE = "LOG_LINE"
    """A log line in the database."""
    TASK = "TASK"
    """A published task: it has no mutation until a worker publishes it again."""
    BROKER = "BROKER"
    """A job on its way: it was set aside, and put back from history where that knows it."""


class Unreadable(msgspec.Struct, frozen=True):
    """A record that cannot be read."""

    source: Source
    ref: str
    """What it is a record of: the id of a job, the place of an event, the name of a task."""
    reason: str
    record: str
    """The record as it was found; bytes are written as `as_text` does."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A record in quarantine."""

    id: int
    at_ms: int
    """When it was found first."""
    source: Source
    ref: str
    reason: str
    record: str


def as_text(record: bytes) -> str:
    """Write bytes as Python writes them between quotes: readable, and nothing is lost."""
    return repr(record)[2:-1]


def unreadable(source: Source, ref: str, error: BaseException | str, record: str) -> Unreadable:
    """Describe a record that cannot be read, within the bounds of what is kept."""
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return Unreadable(source, _storable(ref, REF_MAX), _storable(reason, REASON_MAX), _storable(record, RECORD_MAX))


def _storable(text: str, most: int) -> str:
    """Cut the text, and escape what no database can hold."""
    return text[:most].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()[:most]
