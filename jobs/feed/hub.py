"""One reader of the broker's stream for all subscribers of this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from jobs.broker import Broker, PositionedEvent
from jobs.ending import end
from jobs.errors import BrokerUnavailable, EpochChanged, QueueQLError
from jobs.event import Position
from jobs.feed.batch import EventBatch, GapReason
from jobs.feed.channel import REFRESH_S, Channel, Subscriber
from jobs.feed.facts import FactBook
from jobs.feed.filter import Demand, EventFilter
from jobs.feed.past import Past
from jobs.feed.stretch import Stretch
from jobs.probe import STUCK_S, Health

log = structlog.get_logger(__name__)

RETRY_S = 0.25
READ = 500
"""Events that are read at a time."""
BLOCK_MS = 1_000
"""How long to wait for the next event before looking whether anybody listens."""
GATHER_S = 0.0001
"""For each subscriber the next events may gather for so long: what it costs to hand out grows with their number."""
GATHER_MAX_S = 0.1
LINGER_S = 30.0
"""How long the stream is read on after the last subscriber has gone."""


class Listener(Protocol):
    """Somebody in this process who wants to hear of every event."""

    @property
    def listening(self) -> bool:
        """Tell whether anybody waits for it now."""

    def heard(self, events: Sequence[PositionedEvent]) -> None:
        """Take events in. Must not wait."""

    def missed(self) -> None:
        """Events may have been missed: assume that anything has happened."""


class Hub:
    """Reads the stream once, sorts events by filter, and hands each batch to all subscribers of a filter.

    Reads only while somebody listens. Subscribers are held weakly: one that is dropped is gone.
    """

    def __init__(self, broker: Broker, facts: FactBook, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._facts = facts
        self._monotonic = monotonic
        self.past = Past(broker, facts, monotonic=monotonic)
        self._channels: dict[EventFilter, Channel] = {}
        self._demand: Demand | None = None
        """What all channels together have to know; None: they have changed."""
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._used_at = 0.0
        self._turned_at = 0.0
        self._failing = False
        self._position: Position | None = None
        self._opening = EventBatch(events=[], end_cursor="")
        self._live = asyncio.Event()
        self._closed = False
        self.refresh_s = REFRESH_S

    @property
    def subscribers(self) -> int:
        """How many subscribers there are."""
        return sum(len(channel.subscribers) for channel in self._channels.values())

    @property
    def position(self) -> Position | None:
        """Every event up to here has been handed out; None while the stream is not read."""
        return self._position

    def health(self) -> Health:
        """Tell whether the stream is read, as far as anybody listens."""
        if self._failing:
            return Health("feed", False, "Events cannot be read; subscribers wait.")
        reading = self._task is not None and not self._task.done()
        if reading and self._monotonic() - self._turned_at > STUCK_S:
            return Health("feed", False, f"No events have been looked for for {STUCK_S:.0f} seconds; subscribers wait.")
        return Health("feed", True, f"{self.subscribers:,} subscribers to events.")

    def listen(self, listener: Listener) -> None:
        """Let the listener hear of every event that is read. It says itself whether that is worth reading for."""
        self._listeners.append(listener)

    def join(self, subscriber: Subscriber) -> None:
        """Hand out to this subscriber from now on."""
        if subscriber.filter not in self._channels:
            self._channels[subscriber.filter] = Channel(self._monotonic())
            self._demand = None
        self._channels[subscriber.filter].subscribers.add(subscriber)
        if self._position:
            subscriber.begin(self._opening_at(self._position))
        self.wake()

    def leave(self, subscriber: Subscriber) -> None:
        """Hand out no more to this subscriber."""
        channel = self._channels.get(subscriber.filter)
        if channel:
            channel.subscribers.discard(subscriber)
        self._drop_empty_channels()

    def wake(self) -> None:
        """Read the stream from its present end, if it is not being read."""
        self._used_at = self._monotonic()
        if not self._closed and (self._task is None or self._task.done()):
            self._turned_at = self._monotonic()
            self._task = asyncio.create_task(self._run(), name="feed hub")

    async def reached(self) -> Position:
        """Wait until the stream is read, and return how far."""
        self.wake()
        while self._position is None and not self._closed:
            await self._live.wait()
        if self._position is None:
            raise BrokerUnavailable("This process stops; its subscriptions end.")
        return self._position

    async def close(self) -> None:
        """Stop reading; all subscriptions end."""
        self._closed = True
        await end(self._task)
        self._task = None
        for channel in self._channels.values():
            for subscriber in list(channel.subscribers):
                subscriber.end()
        self._channels.clear()
        self._position = None
        self._live.set()  # whoever waits for the stream hears that there will be none

    # Reading

    async def _run(self) -> None:
        while self._is_used():
            try:
                await self._read_on(await self._connect())
            except QueueQLError as error:
                if not self._failing:
                    write = log.info if isinstance(error, EpochChanged) else log.warning
                    write("feed.away", reason=str(error))
                self._failing = True
                await asyncio.sleep(RETRY_S)
            except Exception:  # the hub serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.fault")
                self._failing = True
                await asyncio.sleep(RETRY_S)
        self._position, self._failing = None, False
        self._live.clear()

    async def _read_on(self, position: Position) -> None:
        """Read and hand out while anybody listens. Raises EpochChanged, Unavailable."""
        while self._is_used():
            self._turned_at = self._monotonic()
            self.past.tidy()
            reading = await self._broker.stream.scan(position, READ, block_ms=BLOCK_MS)
            if reading.hole:
                self._lose(GapReason.TRIMMED, position)
            same_epoch = [item for item in reading.events if item[0].epoch == position.epoch]
            if same_epoch:
                await self._hand_out(same_epoch)
                position = same_epoch[-1][0]
            if reading.unread and position.epoch == reading.end.epoch:
                position = self._position = reading.end
                self._lose(GapReason.UNREADABLE, position)
            if len(same_epoch) < len(reading.events) or self._broker.epoch != position.epoch:
                raise EpochChanged("Redis was started anew or lost its data.")
            if same_epoch and len(same_epoch) < READ:
                await asyncio.sleep(min(GATHER_MAX_S, GATHER_S * self.subscribers))

    def _is_used(self) -> bool:
        now = self._monotonic()
        self._drop_empty_channels()
        if self._channels or any(listener.listening for listener in self._listeners):
            self._used_at = now
        return now - self._used_at < LINGER_S

    async def _connect(self) -> Position:
        """Find the place to read from, and tell whoever listens if there is a hole before it."""
        epoch = await self._broker.refresh_epoch()
        if not epoch:
            raise EpochChanged("Redis lost its data, or never had any; it is being filled.")
        position = self._position
        if position is None:
            last = await self._broker.stream.last()
            position = last if last.epoch == epoch else Position(epoch, 0, 0, 0)
            self._begin(position)
        elif epoch != position.epoch:
            position = Position(epoch, 0, 0, 0)
            self._lose(GapReason.BROKER_LOST, position)
        else:
            first = await self._broker.stream.first()
            if first and first > position and position.ms:
                self._lose(GapReason.BROKER_LOST, position)
        self._position = position
        self._live.set()
        for listener in self._listeners:
            listener.missed()
        if self._failing:
            self._failing = False
            log.info("feed.back")
        return position

    def _begin(self, position: Position) -> None:
        for channel in self._channels.values():
            for subscriber in list(channel.subscribers):
                subscriber.begin(self._opening_at(position))

    def _opening_at(self, position: Position) -> EventBatch:
        # Those who come at the same time share it, and with it the result that is made of it.
        if self._opening.end_cursor != str(position):
            self._opening = EventBatch(events=[], end_cursor=str(position))
        return self._opening

    def _lose(self, reason: GapReason, position: Position) -> None:
        for channel in self._channels.values():
            for subscriber in list(channel.subscribers):
                subscriber.lose(reason, str(position))
        for listener in self._listeners:
            listener.missed()

    def _drop_empty_channels(self) -> None:
        # Subscribers are held weakly: a channel empties without a word.
        for wanted in [wanted for wanted, channel in self._channels.items() if not channel.subscribers]:
            del self._channels[wanted]
            self._demand = None

    # Handing out

    async def _hand_out(self, batch: Sequence[PositionedEvent]) -> None:
        stretch = Stretch(batch, self._facts)
        # Looking up takes a while, in which others may subscribe with other filters.
        demand = None
        while demand is None or demand is not self._demand:
            demand = self._demand = self._demand or Demand(self._channels)
            await stretch.learn(demand)
        self._position = batch[-1][0]
        for listener in self._listeners:
            listener.heard(batch)
        now = self._monotonic()
        for wanted, channel in self._channels.items():
            channel.offer(stretch.batches(wanted), stretch.ends_at, now, self.refresh_s)
