"""Hands accepted jobs over to the broker, behind the backs of their callers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from math import inf

import msgspec
import structlog

from jobs.broker import Broker, Push, Pushed, lean
from jobs.ending import end
from jobs.errors import BrokerUnavailable, QueueQLError
from jobs.probe import STUCK_S, Health

log = structlog.get_logger(__name__)

WAITING_MAX = 50_000
"""Jobs that may wait here; more are left to the reconciler."""
BATCH = 1_000
AGE_MAX_S = 5.0
"""A job that has waited longer is left to the reconciler, which may have begun with it."""
RETRY_S = 0.2
CLOCK_HOLDS_S = 10.0
STOP_S = 5.0


class Pusher:
    """One loop that pushes in batches. What it cannot deliver the reconciler does: the store has every job.

    A push says until when it may arrive, counted from acceptance, so that one that was held up on its
    way can never run a job a second time after it has ended and been forgotten.
    """

    def __init__(self, broker: Broker, *, deadline_ms: int = 10_000, monotonic: Callable[[], float] = time.monotonic):
        self._broker = broker
        self._deadline_ms = deadline_ms
        self._monotonic = monotonic
        self._waiting: deque[tuple[float, Push]] = deque()
        self._cancelled: set[tuple[str, int]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._offset_ms = 0.0
        self._offset_at = -CLOCK_HOLDS_S
        self._failing = False
        self._turned_at = monotonic()
        self._unanswered_at = -inf
        self._pushing = False
        self.pushed = 0
        """Jobs delivered since the start."""
        self.left = 0
        """Jobs left to the reconciler since the start."""

    @property
    def waiting(self) -> int:
        """Jobs that are not delivered yet."""
        return len(self._waiting)

    def health(self) -> Health:
        """Tell whether what waits gets away, to the broker or to the reconciler."""
        if self._task is None or self._task.done():
            return Health("pusher", False, "The pusher is not running.")
        now = self._monotonic()
        stuck = bool(self._waiting or self._pushing) and now - self._turned_at > STUCK_S
        unanswered = now - self._unanswered_at < STUCK_S
        sentence = f"{len(self._waiting):,} accepted jobs wait to be pushed; {self.left:,} were left to the reconciler."
        return Health("pusher", len(self._waiting) < WAITING_MAX and not (stuck or unanswered), sentence)

    def start(self) -> None:
        """Begin to push."""
        self._task = asyncio.create_task(self._run(), name="pusher")

    async def stop(self) -> None:
        """Push what waits, for a few seconds at most, and end."""
        self._stopping = True
        self._wake.set()
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=STOP_S)
        if not self._task.done():
            await end(self._task)
            self._leave(len(self._waiting), "the process stops")
        self._waiting.clear()
        self._task = None

    def add(self, jobs: Sequence[Push]) -> None:
        """Take jobs that the store has accepted. Never waits and never fails."""
        room = WAITING_MAX - len(self._waiting)
        now = self._monotonic()
        if not self._waiting and not self._pushing:
            self._turned_at = now
        # What the store has need not wait here as well.
        self._waiting.extend((now, msgspec.structs.replace(job, spec=lean(job.spec))) for job in jobs[:room])
        if len(jobs) > room:
            self._leave(len(jobs) - room, "too many jobs wait to be pushed")
        self._wake.set()

    def cancel(self, job_id: str, run: int) -> None:
        """Hand this run over as cancelled, if it waits here. Never waits and never fails."""
        if (self._waiting or self._pushing) and len(self._cancelled) < WAITING_MAX:
            self._cancelled.add((job_id, run))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._pushing = True
            while self._waiting:
                self._turned_at = self._monotonic()
                await self._push_batch()
            self._pushing = False
            self._cancelled.clear()
            if self._stopping:
                return

    async def _push_batch(self) -> None:
        now = self._monotonic()
        size = min(BATCH, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        fresh = [item for item in batch if now - item[0] <= AGE_MAX_S]
        if len(fresh) < len(batch):
            self._leave(len(batch) - len(fresh), "the broker did not answer in time")
        if not fresh:
            return
        jobs = [self._as_it_is(job) for _, job in fresh]
        try:
            deadline_ms = await self._redis_ms(fresh[0][0]) + self._deadline_ms
            answers = await self._broker.push(jobs, deadline_ms=deadline_ms)
        except BrokerUnavailable as error:
            self._unanswered_at = self._monotonic()
            if self._stopping:
                self._leave(len(jobs), str(error))
                return
            self._waiting.extendleft(reversed(fresh))  # until they are too old: most outages are short
            await asyncio.sleep(RETRY_S)
        except QueueQLError as error:
            self._leave(len(jobs), str(error))
        except Exception:  # this loop serves every caller of the process; it must outlive any one fault
            log.exception("pusher.fault", jobs=len(jobs))
            self.left += len(jobs)
        else:
            self._unanswered_at = -inf
            late = answers.count(Pushed.LATE)
            self.pushed += len(jobs) - late
            if late:
                self._offset_at = -CLOCK_HOLDS_S
                self._leave(late, "the push was late")
            elif self._failing:
                self._failing = False
                log.info("pusher.back")

    def _as_it_is(self, job: Push) -> Push:
        cancelled = (job.spec.id, job.run) in self._cancelled
        return msgspec.structs.replace(job, cancelled=True) if cancelled else job

    async def _redis_ms(self, moment: float) -> int:
        """Return what the clock of Redis showed at a moment of our own clock."""
        if self._monotonic() - self._offset_at > CLOCK_HOLDS_S:
            before = self._monotonic()
            redis_ms = await self._broker.now_ms()
            # Compared with a moment after the call, so that the deadline is rather too early than too late.
            self._offset_ms, self._offset_at = redis_ms - self._monotonic() * 1000, before
        return int(moment * 1000 + self._offset_ms)

    def _leave(self, count: int, reason: str) -> None:
        self.left += count
        if count and not self._failing:
            self._failing = True
            log.warning("pusher.left_to_reconciler", jobs=count, reason=reason)
