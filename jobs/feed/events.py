"""A subscription to the event log."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from jobs.broker import Broker
from jobs.event import Position
from jobs.feed.batch import EventBatch, Gap, GapReason, parse_cursor
from jobs.feed.filter import EventFilter
from jobs.feed.hub import Hub
from jobs.feed.replay import Replay, after

BUFFER_MAX_BYTES = 512 * 1024
"""Memory that the events may take which wait for one subscriber."""


class EventSubscription:
    """Batches of events: from now on, or from a cursor on without losing or repeating one.

    The first batch comes at once; where nothing has happened it is empty, and its cursor says from where on all comes.
    Iterate over it; `aclose()` or dropping it ends it. It never slows anybody down: a subscriber that
    reads too slowly gets a gap instead of what it missed.
    """

    def __init__(self, hub: Hub, broker: Broker, wanted: EventFilter, *, after: str | None = None) -> None:
        """Subscribe. Raises InvalidCursor."""
        self.filter = wanted
        self._hub = hub
        self.buffer_max_bytes = BUFFER_MAX_BYTES
        self._buffer = deque[EventBatch]()
        self._buffered_bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._seen: Position | None = None
        """Events up to here were replayed; the hub may offer some of them again."""
        self._replay: Replay | None = None
        self._opening: EventBatch | None = None
        """A first batch without events that is still to be delivered."""
        if after is None:
            hub.join(self)
        else:
            self._replay = Replay(hub, broker, parse_cursor(after))

    def __aiter__(self) -> EventSubscription:
        return self

    async def __anext__(self) -> EventBatch:
        """Wait for the next batch. Raises InvalidCursor at the first one."""
        while not self._ended:
            if self._replay:
                batch = await self._replay.next(self)
                if batch:
                    return batch
                self._seen = self._replay.at
                if not self._replay.delivered:
                    self._opening = EventBatch(events=[], end_cursor=str(self._seen))
                self._replay = None
            elif self._opening:
                batch, self._opening = self._opening, None
                return batch
            elif self._buffer:
                if batch := self._take():
                    return batch
            else:
                self._wake.clear()
                await self._wake.wait()
        raise StopAsyncIteration

    def _take(self) -> EventBatch | None:
        batch = self._buffer.popleft()
        self._buffered_bytes -= batch.bytes
        if self._seen is None or batch.gap:
            return batch
        if Position.parse(batch.end_cursor) <= self._seen:
            return None
        rest = after(batch, self._seen)
        if rest is batch:
            self._seen = None
        return rest

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._hub.leave(self)
        self.end()

    # What the hub calls; none of it waits

    def begin(self, opening: EventBatch) -> None:
        """Keep the first batch, which says from where on all comes."""
        if self._replay is None:
            self._opening = opening
            self._wake.set()

    def offer(self, batches: Sequence[EventBatch]) -> None:
        """Keep batches until they are asked for, or drop everything where too much waits.

        Whoever has read all that came before is not too slow, however much comes at once.
        """
        if self._buffer and self._buffered_bytes + sum(batch.bytes for batch in batches) > self.buffer_max_bytes:
            self._clear()
            self.lose(GapReason.TOO_SLOW, batches[-1].end_cursor)
            return
        for batch in batches:
            self._put(batch)

    def lose(self, reason: GapReason, cursor: str) -> None:
        """Put a gap behind what waits."""
        if self._buffer and self._buffer[-1].gap:
            self._buffered_bytes -= self._buffer.pop().bytes
        self._put(EventBatch(events=[], end_cursor=cursor, gap=Gap(reason)))

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._replay = None
        self._clear()
        self._wake.set()

    def _put(self, batch: EventBatch) -> None:
        self._buffer.append(batch)
        self._buffered_bytes += batch.bytes
        self._wake.set()

    def _clear(self) -> None:
        self._buffer.clear()
        self._buffered_bytes = 0
