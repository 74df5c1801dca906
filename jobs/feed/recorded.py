"""Tells when history has what happened: lists and logs are read from there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from jobs.broker import PositionedEvent
from jobs.duty import Duty
from jobs.ending import end
from jobs.errors import QueueQLError
from jobs.event import START, Position
from jobs.feed.hub import Hub
from jobs.store import Store

log = structlog.get_logger(__name__)

LOOK_S = 0.1
"""The recorder's position is looked at so often while it is behind, and those who wait hear at most so often."""
RETRY_S = 0.5
JOBS_MAX = 10_000
"""Beyond so many jobs, anything is said to have happened."""


class Follower(Protocol):
    """Somebody in this process who reads history when it has something new."""

    @property
    def listening(self) -> bool:
        """Tell whether anybody waits for it now."""

    def recorded(self, job_ids: frozenset[str] | None) -> None:
        """Something happened to these jobs, and can be read; None: to any of them. Must not wait."""


class Recorded:
    """Listens to the hub, and passes on what it hears once the recorder has it."""

    def __init__(self, hub: Hub, store: Store) -> None:
        self._hub = hub
        self._store = store
        self._followers: list[Follower] = []
        self._heard = START
        self._jobs: set[str] = set()
        self._any = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self.duty = Duty("recorded")
        hub.listen(self)

    @property
    def listening(self) -> bool:
        """Tell whether anybody waits for it now."""
        return any(follower.listening for follower in self._followers)

    def follow(self, follower: Follower) -> None:
        """Tell this one from now on. It says itself whether that is worth reading for."""
        self._followers.append(follower)

    def wake(self, job_ids: frozenset[str]) -> None:
        """Begin to listen, for somebody who waits for news of these jobs from now on.

        What was heard before, history may not have yet: whoever reads it now is told again once it has.
        """
        if self._hub.position:
            self._heard = max(self._heard, self._hub.position)
            self._note(job_ids)
        if self._task is None or self._task.done():
            self.duty.start()
            self._task = asyncio.create_task(self._run(), name="feed recorded")
        self._hub.wake()

    def heard(self, events: Sequence[PositionedEvent]) -> None:
        """Note what happened."""
        if self.listening:
            self._heard = max(self._heard, events[-1][0])
            self._note({event.job for _, event in events})

    def missed(self) -> None:
        """Anything may have happened."""
        self._heard = max(self._heard, self._hub.position or START)
        self._any = True
        self.duty.owe()
        self._wake.set()

    def _note(self, job_ids: set[str] | frozenset[str]) -> None:
        self._jobs |= job_ids
        if len(self._jobs) > JOBS_MAX:
            self._any, self._jobs = True, set()
        self.duty.owe()
        self._wake.set()

    async def close(self) -> None:
        """Stop."""
        await end(self._task)
        self._task = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            target, job_ids = self._heard, None if self._any else frozenset(self._jobs)
            self._any, self._jobs = False, set()
            try:
                await self._until(target)
                for follower in self._followers:
                    follower.recorded(job_ids)
            except QueueQLError as error:
                await self._try_again(job_ids, str(error))
            except Exception:  # the loop serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.recorded_fault")
                await self._try_again(job_ids, "a fault")
            else:
                self._failing = False
                self.duty.rest(LOOK_S, more=self._wake.is_set())
                await asyncio.sleep(LOOK_S)

    async def _until(self, target: Position) -> None:
        self.duty.move()
        while await self._store.history.position() < target:
            await asyncio.sleep(LOOK_S)
            self.duty.move()  # the recorder may be behind for long

    async def _try_again(self, job_ids: frozenset[str] | None, reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning("feed.recorded_waits", reason=reason)
        self.duty.rest(RETRY_S, more=True)
        await asyncio.sleep(RETRY_S)
        if job_ids is None:
            self.missed()
        else:
            self._note(job_ids)
