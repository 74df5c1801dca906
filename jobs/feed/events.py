"""A subscription to the event log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import groupby

import msgspec

from jobs.broker import Broker, PositionedEvent
from jobs.errors import InvalidCursor
from jobs.event import Position
from jobs.feed.batch import EventBatch, Gap, GapReason, parse_cursor
from jobs.feed.channel import batches_of
from jobs.feed.filter import EventFilter, FactBook, Known
from jobs.feed.hub import Hub

BUFFER_MAX = 5_000
"""Events that may wait for one subscriber."""
PAGE = 1_000
"""Events that are read at a time to catch up."""


class EventSubscription:
    """Batches of events: from now on, or from a cursor on without losing or repeating one.

    Iterate over it; `aclose()` or dropping it ends it. It never slows anybody down: a subscriber that
    reads too slowly gets a gap instead of what it missed.
    """

    def __init__(
        self,
        hub: Hub,
        broker: Broker,
        facts: FactBook,
        wanted: EventFilter,
        *,
        after: str | None = None,
    ) -> None:
        """Subscribe. Raises InvalidCursor."""
        self.filter = wanted
        self._hub = hub
        self.buffer_max = BUFFER_MAX
        self._buffer = deque[EventBatch]()
        self._buffered = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._seen: Position | None = None
        """Events up to here were replayed; the hub may offer some of them again."""
        self._replay: _Replay | None = None
        if after is None:
            hub.join(self)
        else:
            self._replay = _Replay(hub, broker, facts, parse_cursor(after))

    def __aiter__(self) -> EventSubscription:
        return self

    async def __anext__(self) -> EventBatch:
        """Wait for the next batch. Raises InvalidCursor at the first one, and Unavailable while it catches up."""
        while not self._ended:
            if self._replay:
                batch = await self._replay.next(self)
                if batch:
                    return batch
                self._seen, self._replay = self._replay.at, None
            elif self._buffer:
                if batch := self._take():
                    return batch
            else:
                self._wake.clear()
                await self._wake.wait()
        raise StopAsyncIteration

    def _take(self) -> EventBatch | None:
        batch = self._buffer.popleft()
        self._buffered -= len(batch.events)
        if self._seen is None or batch.gap:
            return batch
        events = [item for item in batch.events if Position.parse(item[0]) > self._seen]
        if len(events) == len(batch.events):
            self._seen = None
            return batch
        return msgspec.structs.replace(batch, events=events) if events else None

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._hub.leave(self)
        self.end()

    # What the hub calls; none of it waits

    def offer(self, batch: EventBatch) -> None:
        """Keep a batch until it is asked for, or drop everything where too much waits."""
        if self._buffer and self._buffered + len(batch.events) > self.buffer_max:
            self._buffer.clear()
            self._buffered = 0
            self.lose(GapReason.TOO_SLOW, batch.end_cursor)
            return
        self._buffer.append(batch)
        self._buffered += len(batch.events)
        self._wake.set()

    def lose(self, reason: GapReason, cursor: str) -> None:
        """Put a gap behind what waits."""
        if self._buffer and self._buffer[-1].gap:
            self._buffer.pop()
        self._buffer.append(EventBatch(events=[], end_cursor=cursor, gap=Gap(reason)))
        self._wake.set()

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._replay = None
        self._buffer.clear()
        self._buffered = 0
        self._wake.set()


class _Replay:
    """Reads from a cursor on until the hub takes over.

    While far behind it reads page after page. Near the end it lets the subscriber join the hub, which
    buffers from there on, and reads the rest up to the hub's position. Where both have an event, the
    subscriber drops the second one.
    """

    def __init__(self, hub: Hub, broker: Broker, facts: FactBook, after: Position) -> None:
        self.at = after
        self._hub = hub
        self._broker = broker
        self._facts = facts
        self._begun = False
        self._target: Position | None = None
        self._ready = deque[EventBatch]()

    async def next(self, subscription: EventSubscription) -> EventBatch | None:
        """Return the subscription's next batch, None when the hub has the rest. Raises InvalidCursor, Unavailable."""
        while not self._ready:
            if self._target and self.at >= self._target:
                return None
            await self._read(subscription)
        return self._ready.popleft()

    async def _read(self, subscription: EventSubscription) -> None:
        lost = False
        if not self._begun:
            lost = await self._begin()
        begun_at, target = self.at, self._target
        reading = await self._broker.stream.scan(begun_at, PAGE)
        events = reading.events
        # Looked at after reading: what is still there now was there all the time.
        first = await self._broker.stream.first()
        lost = lost or (first > begun_at if first else not self._begun and begun_at != self._hub.position)
        self._begun = True
        known = await self._look_up(events, subscription.filter)
        self.at = reading.end
        if target is None and len(events) < PAGE:
            self._target = await self._hub.reached()
            self._hub.join(subscription)
        elif self.at == begun_at:
            self._target = self.at  # the stream has nothing more up to the hub's position
        unread = GapReason.UNREADABLE if reading.unread else None
        reason = GapReason.CURSOR_TOO_OLD if lost else unread
        # Where the epoch changes, the end of the older one may have been lost.
        before = begun_at.epoch
        for epoch, part in groupby(events, lambda item: item[0].epoch):
            if epoch != before and before:
                reason = reason or GapReason.BROKER_LOST
            self._deliver(list(part), subscription.filter, known, reason)
            reason, before = None, epoch
        if reason:
            self._deliver([], subscription.filter, known, reason)

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

    async def _look_up(self, events: Sequence[PositionedEvent], wanted: EventFilter) -> Known:
        plain, known = [event for _, event in events], self._facts.open()
        while ids := known.missing(plain, [wanted]):
            await known.look_up(ids)
        return known

    def _deliver(
        self, events: Sequence[PositionedEvent], wanted: EventFilter, known: Known, lost: GapReason | None
    ) -> None:
        batches = batches_of(events, wanted, known) if events else []
        gap = Gap(lost) if lost else None
        if gap and not batches:
            batches = [EventBatch(events=[], end_cursor=str(self.at), gap=gap)]
        elif gap:
            batches[0] = msgspec.structs.replace(batches[0], gap=gap)
        self._ready.extend(batches)
