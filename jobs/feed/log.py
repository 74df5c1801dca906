"""Subscriptions to what a job logs: the lines that are there, then those that follow."""

from __future__ import annotations

import asyncio
import weakref

import msgspec

from jobs.errors import NotFound, Unavailable
from jobs.feed.recorded import RETRY_S, Recorded
from jobs.job import LogLevel, LogLine
from jobs.newest import Newest
from jobs.once import Once
from jobs.page import PAGE_MAX, Page, PageRequest
from jobs.store import Store

_Place = tuple[str, LogLevel, str | None, int]


class LogBatch(msgspec.Struct, frozen=True):
    """Lines in their order, one or more, each with its cursor."""

    lines: list[LogLine]
    cursors: list[str]


class LogTails:
    """The logs that are followed in this process. Those who are at the same place share what is read."""

    def __init__(self, recorded: Recorded, store: Store, newest: Newest) -> None:
        self._recorded = recorded
        self._store = store
        self.newest = newest
        self._followed: dict[str, weakref.WeakSet[LogSubscription]] = {}
        self._reading = Once[_Place, tuple[bool, Page[LogLine]]]()
        self._news = 0
        """How often history had something new. Whoever has heard of it must not share what was read before."""
        recorded.follow(self)

    @property
    def listening(self) -> bool:
        """Tell whether any log is followed."""
        for job_id in [job_id for job_id, followers in self._followed.items() if not followers]:
            del self._followed[job_id]
        return bool(self._followed)

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return sum(len(followers) for followers in self._followed.values())

    def add(self, subscription: LogSubscription) -> None:
        """Tell the subscription from now on when there may be more."""
        self._followed.setdefault(subscription.job_id, weakref.WeakSet()).add(subscription)
        self._recorded.wake(frozenset({subscription.job_id}))

    def remove(self, subscription: LogSubscription) -> None:
        """Tell it no more."""
        followers = self._followed.get(subscription.job_id)
        if followers is not None:
            followers.discard(subscription)

    def recorded(self, job_ids: frozenset[str] | None) -> None:
        """Take in that history has something new of these jobs; None: of any."""
        self._news += 1
        for job_id in self._followed if job_ids is None else job_ids & self._followed.keys():
            for subscription in list(self._followed[job_id]):
                subscription.look()

    async def read(self, job_id: str, level_min: LogLevel, after: str | None) -> tuple[bool, Page[LogLine]]:
        """Return whether the job has ended, and the lines after a cursor. Raises InvalidCursor, Unavailable."""
        place = (job_id, level_min, after, self._news)
        return await self._reading.get(place, lambda: self._read(job_id, level_min, after))

    async def _read(self, job_id: str, level_min: LogLevel, after: str | None) -> tuple[bool, Page[LogLine]]:
        # History has all that a job logged once it has its end, so that is looked at first.
        ended = bool(await self._store.search.final_among([job_id]))
        window = PageRequest(limit=PAGE_MAX, after=after)
        return ended, await self._store.search.logs(job_id, window, level_min=level_min)

    async def close(self) -> None:
        """End all subscriptions."""
        for followers in list(self._followed.values()):
            for subscription in list(followers):
                subscription.end()
        self._followed.clear()


class LogSubscription:
    """Lines in batches; ends when the job has ended and all of them were delivered.

    Iterate over it; `aclose()` or dropping it ends it. Nothing waits for a slow reader but the history itself.
    """

    def __init__(self, tails: LogTails, job_id: str, level_min: LogLevel, after: str | None) -> None:
        self.job_id = job_id
        self._tails = tails
        self._level_min = level_min
        self._after = after
        self._exists = False
        self._wake = asyncio.Event()
        self._ended = False
        tails.add(self)  # before it is read for the first time, so that nothing is missed

    def __aiter__(self) -> LogSubscription:
        return self

    async def __anext__(self) -> LogBatch:
        """Wait for the next lines. Raises at first NotFound, InvalidCursor, Unavailable; later on it waits."""
        while not self._ended:
            self._wake.clear()
            try:
                await self._check()
                last, page = await self._tails.read(self.job_id, self._level_min, self._after)
            except Unavailable:
                if not self._exists:
                    await self.aclose()
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            if page.items:
                self._after = page.cursors[-1]
                return LogBatch(page.items, page.cursors)
            if last:
                await self.aclose()
            else:
                await self._wake.wait()
        raise StopAsyncIteration

    async def _check(self) -> None:
        if not self._exists and await self._tails.newest.find(self.job_id) is None:
            await self.aclose()
            raise NotFound(f'There is no job "{self.job_id[:128]}".', path=("id",))
        self._exists = True

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._tails.remove(self)
        self.end()

    # What the tails call

    def look(self) -> None:
        """Take in that there may be more."""
        self._wake.set()

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._wake.set()
