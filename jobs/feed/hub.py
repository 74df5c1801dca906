"""One reader of the broker's stream for all subscribers of this process."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from jobs.broker import Broker, PositionedEvent
from jobs.ending import end
from jobs.errors import EpochChanged, QueueQLError
from jobs.event import Position
from jobs.feed.batch import EventBatch, GapReason
from jobs.feed.filter import EventFilter, FactBook

log = structlog.get_logger(__name__)

RETRY_S = 0.25
READ = 1_000
"""Events that are read at a time."""
BLOCK_MS = 1_000
"""How long to wait for the next event before looking whether anybody listens."""
LINGER_S = 30.0
"""How long the stream is read on after the last subscriber has gone."""
BATCH_MAX = 500
"""Most events in one batch."""


class Listener(Protocol):
    """Somebody in this process who wants to hear of every event."""

    @property
    def listening(self) -> bool:
        """Tell whether anybody waits for it now."""

    def heard(self, events: Sequence[PositionedEvent]) -> None:
        """Take events in. Must not wait."""

    def missed(self) -> None:
        """Events may have been missed: assume that anything has happened."""


class Subscriber(Protocol):
    """Somebody who wants the events that fit a filter."""

    filter: EventFilter

    def offer(self, batch: EventBatch) -> None:
        """Take a batch in. Must not wait."""

    def lose(self, reason: GapReason, cursor: str) -> None:
        """Events were lost before this cursor."""

    def end(self) -> None:
        """No more batches will come."""


class Hub:
    """Reads the stream once, sorts events by filter, and hands each batch to all subscribers of a filter.

    Reads only while somebody listens. Subscribers are held weakly: one that is dropped is gone.
    """

    def __init__(self, broker: Broker, facts: FactBook, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._facts = facts
        self._monotonic = monotonic
        self._subscribers: weakref.WeakSet[Subscriber] = weakref.WeakSet()
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._used_at = 0.0
        self._failing = False
        self._position: Position | None = None
        self._live = asyncio.Event()

    @property
    def subscribers(self) -> int:
        """How many subscribers there are."""
        return len(self._subscribers)

    @property
    def position(self) -> Position | None:
        """Every event up to here has been handed out; None while the stream is not read."""
        return self._position

    @property
    def failing(self) -> bool:
        """Tell whether the stream cannot be read now."""
        return self._failing

    def listen(self, listener: Listener) -> None:
        """Let the listener hear of every event that is read. It says itself whether that is worth reading for."""
        self._listeners.append(listener)

    def join(self, subscriber: Subscriber) -> None:
        """Hand out to this subscriber from now on."""
        self._subscribers.add(subscriber)
        self.wake()

    def leave(self, subscriber: Subscriber) -> None:
        """Hand out no more to this subscriber."""
        self._subscribers.discard(subscriber)

    def wake(self) -> None:
        """Read the stream from its present end, if it is not being read."""
        self._used_at = self._monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="feed hub")

    async def reached(self) -> Position:
        """Wait until the stream is read, and return how far."""
        self.wake()
        while self._position is None:
            await self._live.wait()
        return self._position

    async def close(self) -> None:
        """Stop reading; all subscriptions end."""
        await end(self._task)
        self._task = None
        for subscriber in list(self._subscribers):
            subscriber.end()
        self._subscribers.clear()
        self._position = None

    # Reading

    async def _run(self) -> None:
        while self._is_used():
            try:
                await self._read_on(await self._connect())
            except QueueQLError as error:
                if not self._failing:
                    log.warning("feed.away", error=str(error))
                self._failing = True
                await asyncio.sleep(RETRY_S)
            except Exception:  # the hub serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.fault")
                await asyncio.sleep(RETRY_S)
        self._position, self._failing = None, False
        self._live.clear()

    async def _read_on(self, position: Position) -> None:
        """Read and hand out while anybody listens. Raises EpochChanged, Unavailable."""
        while self._is_used():
            batch = await self._broker.stream.read(position, READ, block_ms=BLOCK_MS)
            same_epoch = [item for item in batch if item[0].epoch == position.epoch or not position.epoch]
            if same_epoch:
                await self._hand_out(same_epoch)
                position = same_epoch[-1][0]
            if len(same_epoch) < len(batch) or self._broker.epoch != position.epoch != 0:
                raise EpochChanged("Redis lost its data or was replaced.")

    def _is_used(self) -> bool:
        now = self._monotonic()
        if self._subscribers or any(listener.listening for listener in self._listeners):
            self._used_at = now
        return now - self._used_at < LINGER_S

    async def _connect(self) -> Position:
        """Find the place to read from, and tell whoever listens if there is a hole before it."""
        epoch = await self._broker.refresh_epoch()
        position = self._position
        if position is None:
            position = await self._broker.stream.last()
        elif epoch != position.epoch and position.epoch:
            if not epoch:
                raise EpochChanged("Redis lost its data; it is being filled again.")
            position = Position(epoch, 0, 0, 0)
            self._lose(position)
        else:
            first = await self._broker.stream.first()
            if first and first > position and position.ms:
                self._lose(position)
        self._position = position
        self._live.set()
        for listener in self._listeners:
            listener.missed()
        if self._failing:
            self._failing = False
            log.info("feed.back")
        return position

    def _lose(self, position: Position) -> None:
        for subscriber in list(self._subscribers):
            subscriber.lose(GapReason.BROKER_LOST, str(position))

    # Handing out

    async def _hand_out(self, batch: Sequence[PositionedEvent]) -> None:
        events = [event for _, event in batch]
        # Looking up takes a while, in which others may subscribe with other filters.
        while ids := self._facts.missing(events, {one.filter for one in self._subscribers}):
            await self._facts.look_up(ids)
        self._position = batch[-1][0]
        for listener in self._listeners:
            listener.heard(batch)
        by_filter = defaultdict[EventFilter, list[Subscriber]](list)
        for subscriber in self._subscribers:
            by_filter[subscriber.filter].append(subscriber)
        for wanted, subscribers in by_filter.items():
            for part in batches_of(batch, wanted, self._facts):
                for subscriber in subscribers:
                    subscriber.offer(part)


def batches_of(events: Sequence[PositionedEvent], wanted: EventFilter, facts: FactBook) -> list[EventBatch]:
    """Return those of the events that fit, in batches of a bounded size; the last one ends where the events end."""
    fitting = [(str(position), event) for position, event in events if wanted.fits(event, facts.of(event.job))]
    parts = [fitting[start : start + BATCH_MAX] for start in range(0, len(fitting), BATCH_MAX)]
    ends = [part[-1][0] for part in parts[:-1]] + [str(events[-1][0])]
    return [EventBatch(events=part, end_cursor=end) for part, end in zip(parts, ends, strict=False)]
