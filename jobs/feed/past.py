"""Parts of the stream that were read a moment ago, so that many who catch up at the same time read them once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import groupby

from jobs.broker import Broker
from jobs.event import Position
from jobs.feed.facts import FactBook
from jobs.feed.filter import EventFilter, Facts
from jobs.feed.stretch import Stretch, bytes_of

PAGE = 1_000
"""Events that are read at a time to catch up."""
AT_ONCE = 4
"""Subscribers who get a page of events at the same time. The others wait, so that the process goes on with its work."""
KEPT_S = 5.0
"""A passage that nobody has asked for so long is let go."""
KEPT_MAX_BYTES = 32 * 1024 * 1024
"""Memory that all passages together may take."""


class Passage:
    """What the stream had after a position when it was read."""

    def __init__(self, begin: Position, end: Position, stretches: list[Stretch]) -> None:
        self.begin = begin
        self.end = end
        """Everything up to here was read."""
        self.stretches = stretches
        """The events, those of each epoch by themselves."""
        self.first: Position | None = None
        """The oldest event that was still there once it was read; where none was ever removed, where it begins."""
        self.is_unreadable = False
        """Whether there were events that cannot be read."""
        self.used_at = 0.0
        self.bytes = sum(bytes_of(event) for stretch in stretches for _, event in stretch.events)

    @property
    def is_full(self) -> bool:
        """Whether there may be more."""
        return sum(len(stretch.events) for stretch in self.stretches) >= PAGE

    @property
    def is_plain(self) -> bool:
        """Whether it says the same to everybody who is within it."""
        one_epoch = all(stretch.events[0][0].epoch == self.begin.epoch for stretch in self.stretches)
        whole = self.first is not None and self.first <= self.begin
        return bool(self.stretches) and one_epoch and whole and not self.is_unreadable


class Past:
    """Reads what came after a position."""

    def __init__(self, broker: Broker, facts: FactBook, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._facts = facts
        self._monotonic = monotonic
        self.keep_s = KEPT_S
        self._passages: OrderedDict[Position, Passage] = OrderedDict()
        self._reading = asyncio.Lock()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until this subscriber may have a page of events made for it."""
        async with self._turns:
            yield
            await asyncio.sleep(0)  # the next one is in the next round of the loop, whatever was at hand for this one

    async def read(self, after: Position) -> Passage:
        """Return what comes after a position; it may begin before it. Raises Unavailable."""
        async with self._reading:  # whoever waits here will most likely find what the one before has read
            passage = self._find(after)
            if passage is None:
                passage = await self._read(after)
                if passage.is_plain:
                    self._passages[after] = passage
            passage.used_at = self._monotonic()
            self.tidy()
        return passage

    async def learn(self, passage: Passage, wanted: EventFilter) -> list[Stretch]:
        """Return the stretches, in which the filter can find its events. Raises Unavailable."""
        stretches = passage.stretches
        if wanted.needs is Facts.WHOLE:  # whole jobs are large, and would grow old
            stretches = [Stretch(stretch.events, self._facts) for stretch in stretches]
        for stretch in stretches:
            await stretch.learn_for(wanted)
        return stretches

    @property
    def bytes(self) -> int:
        """About how much memory all passages take."""
        return sum(passage.bytes for passage in self._passages.values())

    def tidy(self) -> None:
        """Let go of what is not needed any more."""
        oldest = self._monotonic() - self.keep_s
        for begin in [begin for begin, passage in self._passages.items() if passage.used_at < oldest]:
            del self._passages[begin]
        while self.bytes > KEPT_MAX_BYTES:
            self._passages.popitem(last=False)

    def _find(self, after: Position) -> Passage | None:
        found = [one for one in self._passages.values() if one.begin <= after < one.end]
        return max(found, key=lambda one: one.end, default=None)

    async def _read(self, after: Position) -> Passage:
        reading = await self._broker.stream.scan(after, PAGE)
        by_epoch = groupby(reading.events, lambda item: item[0].epoch)
        passage = Passage(after, reading.end, [Stretch(list(part), self._facts) for _, part in by_epoch])
        # Looked at after reading: what is still there now was there all the time.
        is_whole = not after.ms and await self._broker.stream.is_whole()
        passage.first = after if is_whole else await self._broker.stream.first()
        passage.is_unreadable = bool(reading.unread)
        return passage
