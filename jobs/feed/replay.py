"""Catching up: from a cursor on until the hub takes over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from jobs.broker import Broker
from jobs.errors import EpochChanged, InvalidCursor, Unavailable
from jobs.event import Position
from jobs.feed.batch import EventBatch, Gap, GapReason
from jobs.feed.hub import RETRY_S, Hub
from jobs.feed.past import Passage

if TYPE_CHECKING:
    from jobs.feed.events import EventSubscription


class Replay:
    """Reads from a cursor on until the hub takes over.

    While far behind it reads page after page. Near the end it lets the subscriber join the hub, which
    buffers from there on, and reads the rest up to the hub's position. Where both have an event, the
    subscriber drops the second one.
    """

    def __init__(self, hub: Hub, broker: Broker, after: Position) -> None:
        self.at = after
        self._hub = hub
        self._broker = broker
        self._begun = False
        self._target: Position | None = None
        self._ready = deque[EventBatch]()

    async def next(self, subscription: EventSubscription) -> EventBatch | None:
        """Return the subscription's next batch, None when the hub has the rest. Raises InvalidCursor.

        While the events cannot be read it waits, as those do who have caught up.
        """
        while not self._ready:
            if self._target and self.at >= self._target:
                return None
            try:
                async with self._hub.past.turn():
                    await self._read(subscription)
            except (Unavailable, EpochChanged):
                await asyncio.sleep(RETRY_S)
        return self._ready.popleft()

    async def _read(self, subscription: EventSubscription) -> None:
        lost = False
        if not self._begun:
            lost = await self._begin()
        begun_at, target = self.at, self._target
        passage = await self._hub.past.read(begun_at)
        lost = lost or self._is_lost(passage, begun_at)
        stretches = await self._hub.past.learn(passage, subscription.filter)
        self._begun = True
        self.at = passage.end
        if target is None and not passage.is_full:
            self._target = await self._hub.reached()
            self._hub.join(subscription)
        elif self.at == begun_at:
            self._target = self.at  # the stream has nothing more up to the hub's position
        unread = GapReason.UNREADABLE if passage.is_unreadable else None
        reason = GapReason.CURSOR_TOO_OLD if lost else unread
        # Where the epoch changes, the end of the older one may have been lost.
        before = begun_at.epoch
        for stretch in stretches:
            epoch = stretch.events[0][0].epoch
            if epoch != before and before:
                reason = reason or GapReason.BROKER_LOST
            self._deliver(stretch.batches(subscription.filter), begun_at, reason)
            reason, before = None, epoch
        if reason:
            self._deliver([], begun_at, reason)

    def _is_lost(self, passage: Passage, begun_at: Position) -> bool:
        """Tell whether events after the position may have been removed before they were read."""
        if passage.first:
            return passage.first > max(begun_at, passage.begin)
        return not self._begun and begun_at != self._hub.position

    async def _begin(self) -> bool:
        """Look at the cursor; tell whether events after it may be lost."""
        stream = self._broker.stream
        if self.at.epoch == self._broker.epoch or self.at.epoch == await self._broker.refresh_epoch():
            last = await stream.last()
            if last.ms and self.at > last:
                raise InvalidCursor("The cursor is ahead of the event log.", path=("after",))
            return False
        if self.at.epoch > self._broker.epoch:
            self.at = Position(self._broker.epoch, 0, 0, 0)
        return True

    def _deliver(self, batches: Sequence[EventBatch], begun_at: Position, lost: GapReason | None) -> None:
        rest = [part for batch in batches if (part := after(batch, begun_at))]
        if lost:
            first = rest[0] if rest else EventBatch(events=[], end_cursor=str(self.at))
            rest[:1] = [msgspec.structs.replace(first, gap=Gap(lost))]
        self._ready.extend(rest)


def after(batch: EventBatch, position: Position) -> EventBatch | None:
    """Return what of a batch comes after a position, None where nothing does."""
    if not batch.events or Position.parse(batch.events[0][0]) > position:
        return batch
    events = [item for item in batch.events if Position.parse(item[0]) > position]
    return msgspec.structs.replace(batch, events=events) if events else None
