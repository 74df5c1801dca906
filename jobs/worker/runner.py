"""Runs attempts in the event loop, with as few asyncio tasks as they need, and watches their deadlines."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic

from jobs.context import Interrupt
from jobs.worker.attempt import Attempt

SCAN_S = 0.1
"""Precision of timeouts."""
BURST_S = 0.01
"""A burst lets others run after this time."""


class Runner:
    """Attempts that were started and have not ended.

    Most of the price of a small job is its asyncio task. So one task, a burst, runs attempt after
    attempt as long as none of them waits for anything; the one that does keeps the task for itself,
    and the next burst takes over. An attempt therefore never shares its task with one that has
    waited, and not with one that changed a context variable or cancelled itself either.
    """

    def __init__(self, ended: Callable[[Attempt], None]) -> None:
        self.running: dict[str, Attempt] = {}
        self._ended = ended
        self._ready: deque[Attempt] = deque()
        self._variables = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._turn = 0
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None

    def launch(self, attempts: Iterable[Attempt]) -> None:
        """Run these as soon as the loop is free."""
        for attempt in attempts:
            self.running[attempt.reserved.id] = attempt
            self._ready.append(attempt)
        if not self._pumping:
            self._pumping = True
            self._pump()
        if self._timer is None:
            self._timer = self._loop.call_later(SCAN_S, self._scan)

    def _pump(self) -> None:
        # The loop calls in order: the burst first, up to where it waits or ends, then this again.
        # So a burst that finds the turn unchanged has not waited.
        self._turn += 1
        if self._ready:
            self._loop.create_task(self._burst(), context=self._variables.copy())
            self._loop.call_soon(self._pump)
        else:
            self._pumping = False

    async def _burst(self) -> None:
        turn = self._turn
        task = asyncio.current_task()
        begin = monotonic()
        while self._ready:
            attempt = self._ready.popleft()
            attempt.runner = task
            attempt.begun_s = now = monotonic()
            attempt.deadline = now + (attempt.reserved.spec.timeout_s or inf)
            fetches = attempt.reserved.spec.payload_bytes
            attempt.outcome = await (attempt.fetch_and_run() if fetches else attempt.run())
            attempt.runner = None
            if self.running.get(attempt.reserved.id) is attempt:  # the session may have got the job again meanwhile
                del self.running[attempt.reserved.id]
            self._ended(attempt)
            if (
                self._turn != turn
                or now - begin > BURST_S
                or contextvars.copy_context() != self._variables
                or (task is not None and task.cancelling())
            ):
                return

    def _scan(self) -> None:
        self._timer = None
        now = monotonic()
        for attempt in list(self.running.values()):
            if attempt.deadline <= now:
                attempt.overdue(now)
        if self.running:
            self._timer = self._loop.call_later(SCAN_S, self._scan)

    def end_early(self, why: Interrupt, ids: Iterable[str] | None = None) -> None:
        """Tell these attempts, or all, to end."""
        for job_id in list(self.running if ids is None else ids):
            attempt = self.running.get(job_id)
            if attempt is not None:
                attempt.end_early(why)

    def forget(self) -> list[Attempt]:
        """Stop caring about what runs still; return it."""
        forgotten = list(self.running.values())
        self.running.clear()
        return forgotten

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
