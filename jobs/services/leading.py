"""Loops that one process runs at a time, while those of the others stand by."""

from __future__ import annotations

import time
from abc import abstractmethod

import structlog

from jobs.services.base import Loop
from jobs.store import Store

log = structlog.get_logger(__name__)


class LeaderLoop(Loop):
    """A loop that takes its turns in the process that leads; subclasses say what `lead` does.

    The lead passes on at once where its holder stops, and within the lease (15 s) where it dies.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.leadership = store.leadership(self.name)
        self._leads = False
        self._due_s = 0.0

    @abstractmethod
    async def lead(self) -> float:
        """Do one round of work as the leader; return the seconds until the next one.

        A round that takes long asks `self.leadership.holds()` between its parts, and ends where it does not.
        """

    async def turn(self) -> float:
        """Lead where it is time; otherwise stay the leader, or stand by."""
        leads = await self.leadership.holds()
        if leads != self._leads:
            self._leads, self._due_s = leads, 0.0
            log.info("loop.leads" if leads else "loop.stands_by", loop=self.name)
        if leads and time.monotonic() >= self._due_s:
            pause_s = await self.lead()
            self._due_s = time.monotonic() + pause_s
        wait_s = self.leadership.renew_s
        return min(wait_s, max(0.0, self._due_s - time.monotonic())) if leads else wait_s

    async def finish(self) -> None:
        """Let another process lead."""
        await self.leadership.release()
