"""The subscribers of one filter, and the batches that they share."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Protocol

from jobs.broker import PositionedEvent
from jobs.feed.batch import EventBatch, GapReason
from jobs.feed.filter import EventFilter, Known

REFRESH_S = 30.0
"""While nothing fits, an empty batch is offered at most this often, so that cursors do not grow old."""
BATCH_MAX = 500
"""Most events in one batch."""


class Subscriber(Protocol):
    """Somebody who wants the events that fit a filter."""

    filter: EventFilter

    def offer(self, batch: EventBatch) -> None:
        """Take a batch in. Must not wait."""

    def lose(self, reason: GapReason, cursor: str) -> None:
        """Events were lost before this cursor."""

    def end(self) -> None:
        """No more batches will come."""


class Channel:
    """The subscribers of one filter."""

    def __init__(self, now: float) -> None:
        self.subscribers: weakref.WeakSet[Subscriber] = weakref.WeakSet()
        self._offered_at = now

    def offer(self, parts: list[EventBatch], cursor: str, now: float, refresh_s: float) -> None:
        """Hand the batches to all subscribers; `cursor` is how far the log was read at `now` (monotonic seconds)."""
        if not parts and now - self._offered_at >= refresh_s:
            parts = [EventBatch(events=[], end_cursor=cursor)]
        if parts:
            self._offered_at = now
        for part in parts:
            for subscriber in self.subscribers:
                subscriber.offer(part)


def batches_of(events: Sequence[PositionedEvent], wanted: EventFilter, known: Known) -> list[EventBatch]:
    """Return those of the events that fit, in batches of a bounded size; the last one ends where the events end."""
    fitting = [(str(position), event) for position, event in events if wanted.fits(event, known)]
    parts = [fitting[start : start + BATCH_MAX] for start in range(0, len(fitting), BATCH_MAX)]
    ends = [part[-1][0] for part in parts[:-1]] + [str(events[-1][0])]
    return [EventBatch(events=part, end_cursor=end) for part, end in zip(parts, ends, strict=False)]
