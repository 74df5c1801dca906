"""How a worker process is: what it says of itself with each renewal of its lease."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import psutil

from jobs.broker import RunningJob, Vitals, WorkerState
from jobs.broker.record import RUNNING_MAX
from jobs.clock import Clock
from jobs.duty import Duty
from jobs.worker.attempt import Attempt
from jobs.worker.slots import Slots


class Pulse:
    """Gathers the vitals of one process.

    `vitals` is for the thread that renews the lease; `ask`, `unanswered_s` and `blocked_by` are for the one that
    watches the loop; all else is for the loop.
    """

    def __init__(self, slots: Slots, queues: Callable[[], Sequence[str]], clock: Clock) -> None:
        self._slots = slots
        self._queues = queues
        self._clock = clock
        self._process = psutil.Process()
        self._process.cpu_percent()  # the next call tells the share since this one
        self._loop = asyncio.get_running_loop()
        self._asked_s = self._answered_s = self._watched_s = monotonic()
        self._lag_s = 0.0
        self._finished = self._failed = 0
        self._fetched_ms: int | None = None
        self._fetched_s = self._asked_s
        self.running: Mapping[str, Attempt] = {}
        """Attempts that run now, by job."""
        self.blocked_by: str | None = None
        """Job that does not let the loop go."""
        self.stopping = False
        self.reporting = Duty("reporter")
        """Whether what jobs say is sent."""

    def fetched(self) -> None:
        """Note that Redis has answered a lane."""
        self._fetched_ms = self._clock()
        self._fetched_s = monotonic()

    def unasked_s(self) -> float:
        """For how long no job has been asked for although there was room for one; a lane asks every two seconds."""
        if self.stopping or self._slots.quiet or len(self.running) >= self._slots.most:
            self._fetched_s = monotonic()  # room that comes up is not what was missed until then
            return 0.0
        return monotonic() - self._fetched_s

    def still(self) -> Sequence[tuple[float, str]]:
        """For how long which part of the worker has not done what it has to: what asks, what reports, what watches."""
        return (
            (self.unasked_s(), "No job has been asked for"),
            (self.reporting.still_s, "What jobs say has not been sent"),
            (monotonic() - self._watched_s, "The event loop has not been watched"),
        )

    def ended(self, *, failed: bool) -> None:
        """Note that an attempt has ended."""
        self._finished += 1
        self._failed += failed

    def lag_s(self) -> float:
        """How late the loop answers, in seconds; where it has not answered yet, how long that is."""
        waiting = self._asked_s > self._answered_s
        return max(self._lag_s, monotonic() - self._asked_s) if waiting else self._lag_s

    def unanswered_s(self) -> float:
        """For how long the loop has owed an answer, in seconds."""
        return max(0.0, monotonic() - self._asked_s) if self._asked_s > self._answered_s else 0.0

    def ask(self) -> None:
        """Let the loop answer, unless it still owes an answer. Raises RuntimeError once the loop is closed."""
        self._watched_s = monotonic()
        if self._asked_s <= self._answered_s:
            self._asked_s = self._watched_s
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._answered_s = monotonic()
        self._lag_s = self._answered_s - self._asked_s

    def vitals(self) -> Vitals:
        """Say how the process is."""
        lag_s = self.lag_s()
        attempts = list(self.running.values())
        longest = heapq.nsmallest(RUNNING_MAX, attempts, key=lambda attempt: attempt.begun_s)
        now_s, now_ms = monotonic(), self._clock()
        with self._process.oneshot():
            cpu, memory = round(self._process.cpu_percent() / 100, 3), self._process.memory_info().rss
        return Vitals(
            state=self._state(),
            concurrency=self._slots.most,
            queues=tuple(self._queues()),
            active=len(attempts),
            jobs=tuple(
                RunningJob(attempt.reserved.id, attempt.task.name, now_ms - round(1000 * (now_s - attempt.begun_s)))
                for attempt in longest
                if attempt.begun_s <= now_s
            ),
            finished=self._finished,
            failed=self._failed,
            cpu=cpu,
            memory_bytes=memory,
            loop_lag_ms=round(lag_s * 1000),
            fetched_ms=self._fetched_ms,
            still_ms=round(1000 * max(still_s for still_s, _ in self.still())),
            blocked_by=self.blocked_by,
        )

    def _state(self) -> WorkerState:
        if self.stopping:
            return WorkerState.STOPPING
        return WorkerState.QUIET if self._slots.quiet else WorkerState.RUNNING
