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
        self.delivered = False
        """Whether there was any batch."""

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
        self.delivered = True
        return self._ready.popleft()

    async def _read(self, subscription: EventSubscription) -> None:
        reason = None if self._begun else await self._begin()
        begun_at, target = self.at, self._target
        passage = await self._hub.past.read(begun_at)
        reason = reason or self._lost(passage, begun_at)
        stretches = await self._hub.past.learn(passage, subscription.filter)
        self._begun = True
        self.at = passage.end
        if target is None and not passage.is_full:
            self._target = await self._hub.reached()
            self._hub.join(subscription)
        elif self.at == begun_at:  # the stream has nothing more up to the hub's position
            if target and self.at.epoch < target.epoch:
                reason, self.at = reason or GapReason.BROKER_LOST, target
            self._target = self.at
        if passage.is_unreadable:
            reason = reason or GapReason.UNREADABLE
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

    def _lost(self, passage: Passage, begun_at: Position) -> GapReason | None:
        """Tell why events after the position may be missing."""
        if passage.first is None:  # some event is kept always, as long as nothing is lost
            return None if self._begun or begun_at == self._hub.position else GapReason.BROKER_LOST
        if passage.first <= max(begun_at, passage.begin):
            return None
        return GapReason.CURSOR_TOO_OLD if passage.first.epoch == begun_at.epoch else GapReason.BROKER_LOST

    async def _begin(self) -> GapReason | None:
        """Look at the cursor; tell why events after it may be missing, where that is known already."""
        stream = self._broker.stream
        if self.at.epoch == self._broker.epoch or self.at.epoch == await self._broker.refresh_epoch():
            last = await stream.last()
            if self.at.ms and last.ms and self.at > last:
                raise InvalidCursor("The cursor is ahead of the event log.", path=("after",))
            return None
        if self.at.epoch < self._broker.epoch:
            return None  # where the epoch changes, that is said
        self.at = Position(self._broker.epoch, 0, 0, 0)
        return GapReason.BROKER_LOST

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
