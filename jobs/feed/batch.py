"""What a subscriber is given."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from jobs.errors import InvalidCursor
from jobs.event import JobEvent, Position

EMPTY_BATCH_BYTES = 500
"""Memory that a batch takes beside its events."""

_CURSOR = re.compile(r"\d{1,18}(-\d{1,18}){3}", re.ASCII)


class GapReason(StrEnum):
    """Why events are missing."""

    CURSOR_TOO_OLD = "CURSOR_TOO_OLD"
    """The cursor is older than what is kept; the events that are still there follow."""
    TOO_SLOW = "TOO_SLOW"
    """The subscriber did not read fast enough; what happens from now on follows."""
    BROKER_LOST = "BROKER_LOST"
    """The broker was started anew, or lost its data: events from before then may be missing; those it has follow."""
    TRIMMED = "TRIMMED"
    """Events were removed to save memory before they were read; what is still there follows."""
    UNREADABLE = "UNREADABLE"
    """Events cannot be read, perhaps because a newer version wrote them; what happens from now on follows."""


class Gap(msgspec.Struct, frozen=True):
    """Events may be missing before this batch. Read what matters again, then go on with the batches."""

    reason: GapReason


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Events in their order, each with its cursor. Subscribers with the same filter share one batch object.

    A batch without events says that there is a gap, or only how far the log was read.
    """

    events: list[tuple[str, JobEvent]]
    end_cursor: str
    """Everything up to here was seen; a later subscription may go on after it."""
    gap: Gap | None = None
    bytes: int = EMPTY_BATCH_BYTES
    """About how much memory it takes."""


def parse_cursor(cursor: str) -> Position:
    """Return the position that a cursor stands for. Raises InvalidCursor."""
    if not _CURSOR.fullmatch(cursor):
        raise InvalidCursor("The cursor is not one of this event log.", path=("after",))
    return Position.parse(cursor)
