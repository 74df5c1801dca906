"""How every loop starts, runs, reports and stops.

A loop is one task that takes one turn after the other. A turn that fails is logged, once per kind of
fault until a turn succeeds, and taken again after a pause that grows to `PAUSE_MAX_S`. `stop` lets the
turn that is under way end; stopping twice, or before the start, does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod

import structlog

from jobs.ending import end
from jobs.errors import EpochChanged, QueueQLError
from jobs.probe import STUCK_S, Health, told

log = structlog.get_logger(__name__)

PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 2.0
STOP_TIMEOUT_S = 6.0


class Loop(ABC):
    """A loop with a name. Subclasses say what one turn does."""

    name: str

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._turned_at = time.monotonic()
        self._fault: str | None = None
        self._reported: set[type[Exception]] = set()

    @abstractmethod
    async def turn(self) -> float:
        """Do one round of work; return the seconds until the next one."""

    async def finish(self) -> None:  # noqa: B027  # most loops leave nothing over
        """Do what is left to do once no more turns are taken."""

    def start(self) -> None:
        """Begin to take turns. Starting a running loop does nothing."""
        if self._task is None:
            self._stopping.clear()
            self._turned_at = time.monotonic()
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Take no more turns, finish, and return; after `STOP_TIMEOUT_S` without finishing."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._stopping.set()
        await asyncio.wait([task], timeout=STOP_TIMEOUT_S)
        if not task.done():
            log.warning("loop.stopped_in_its_turn", loop=self.name)
            await end(task)

    def moves(self) -> None:
        """For a turn that takes long: it makes progress."""
        self._turned_at = time.monotonic()

    def health(self) -> Health:
        """Tell whether the loop makes progress, and why not."""
        if self._task is None or self._task.done():
            return Health(self.name, False, f"The {self.name} is not running.")
        if self._fault:
            return Health(self.name, False, f"The {self.name} fails: {self._fault}")
        still_s = time.monotonic() - self._turned_at
        if still_s > STUCK_S:
            return Health(self.name, False, f"The {self.name} has made no turn for {still_s:.0f} seconds.")
        return Health(self.name, True, f"The {self.name} takes its turns.")

    async def _run(self) -> None:
        pause_s = PAUSE_MIN_S
        while not self._stopping.is_set():
            try:
                wait_s = await self.turn()
            except Exception as error:  # a loop outlives every fault of a turn
                self._report(error)
                wait_s, pause_s = pause_s, min(PAUSE_MAX_S, pause_s * 2)
            else:
                if self._fault:
                    log.info("loop.recovered", loop=self.name)
                    self._reported.clear()
                self._fault, pause_s = None, PAUSE_MIN_S
                self._turned_at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
        await self._finish()

    async def _finish(self) -> None:
        try:
            await self.finish()
        except Exception as error:  # what is left over is taken up at the next start
            log.warning("loop.unfinished", loop=self.name, error=str(error))

    def _report(self, error: Exception) -> None:
        # One line per outage: its messages may change from turn to turn, and several parts may be away.
        if type(error) not in self._reported:
            self._reported.add(type(error))
            # While Redis is filled again, waiting is all there is to do; a stack is for what nobody foresaw.
            write = log.info if isinstance(error, EpochChanged) else log.warning
            known = isinstance(error, QueueQLError)
            write("loop.fault", loop=self.name, error=str(error), exc_info=None if known else error)
        self._fault = told(error)
