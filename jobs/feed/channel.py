"""The subscribers of one filter."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Protocol

from jobs.feed.batch import EventBatch, GapReason
from jobs.feed.filter import EventFilter

REFRESH_S = 30.0
"""While nothing fits, an empty batch is offered at most this often, so that cursors do not grow old."""


class Subscriber(Protocol):
    """Somebody who wants the events that fit a filter."""

    filter: EventFilter

    def begin(self, opening: EventBatch) -> None:
        """Take in a batch without events: all behind its cursor will be offered. Must not wait."""

    def offer(self, batches: Sequence[EventBatch]) -> None:
        """Take in what was read at once, one batch or more. Must not wait."""

    def lose(self, reason: GapReason, cursor: str) -> None:
        """Events were lost before this cursor."""

    def end(self) -> None:
        """No more batches will come."""


class Channel:
    """The subscribers of one filter."""

    def __init__(self, now: float) -> None:
        self.subscribers: weakref.WeakSet[Subscriber] = weakref.WeakSet()
        self._offered_at = now

    def offer(self, parts: Sequence[EventBatch], cursor: str, now: float, refresh_s: float) -> None:
        """Hand the batches to all subscribers; `cursor` is how far the log was read at `now` (monotonic seconds)."""
        if not parts and now - self._offered_at >= refresh_s:
            parts = [EventBatch(events=[], end_cursor=cursor)]
        if parts:
            self._offered_at = now
            for subscriber in self.subscribers:
                subscriber.offer(parts)
