"""Jobs that are stuck: what history knows as unfinished and nobody is about to run is made runnable again.

The one home of the comparison between history and the broker; the reconciler does it on a timer, a command on demand.

Nothing runs twice through it. Every push carries a deadline that was taken before history was read, and the broker
remembers for longer than that which jobs have ended: one that ended meanwhile is KNOWN there. A worker that is alive
keeps its jobs; that its lease has run out is the broker's to say, also on demand. Forcing that would take away the
jobs of workers whose renewals are waiting behind the call, after the broker was frozen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from jobs.broker import Broker, Push, Pushed
from jobs.broker.waiting import abandoned
from jobs.clock import Clock
from jobs.store import Store
from jobs.store.search import OpenRow, Unfinished

BATCH = 1_000
OVERDUE_MS = 2_000
"""A job whose time came is made runnable within a fraction of this."""
UNPUSHED_AGE_MS = 5_000
"""Whoever accepts a job hands it over within this time, or leaves it to others."""
LOOK_AGE_MS = 15_000
"""The reconciler pushes what it finds unpushed at this age."""
LOOK_MAX = 100
CATCH_UP_S = 2.0
NAMED_MAX = 100


class RescueReason(StrEnum):
    """Why a job was stuck."""

    WORKER_LOST = "WORKER_LOST"
    """Its worker gave no sign of life any more; the job was taken back."""
    OVERDUE = "OVERDUE"
    """Its time had come, and nothing made it runnable."""
    NEVER_QUEUED = "NEVER_QUEUED"
    """It was accepted, and had never reached its queue."""
    MISSING = "MISSING"
    """It was not finished, and neither in its queue nor with a worker any more."""


class RescuedJob(msgspec.Struct, frozen=True):
    """A job that was stuck."""

    id: str
    reason: RescueReason


class Rescued(msgspec.Struct, frozen=True, kw_only=True):
    """What became of looking for stuck jobs."""

    jobs: list[RescuedJob]
    """The first 100 of them."""
    total: int
    """How many jobs were rescued."""
    is_complete: bool
    """False where time ran out before everything was compared."""


class Comparison(msgspec.Struct, frozen=True):
    """What one batch of comparing came to."""

    rescued: list[RescuedJob]
    last_id: str | None
    """Where the next batch goes on; None: that was the last one."""
    is_complete: bool = True
    """False where jobs are left for the next time, because history does not know yet all that happened to them."""


def push_of(job: Unfinished, *, recovered: bool) -> Push:
    """Return the push of a job that goes on; `recovered` counts one more loss."""
    return Push(
        spec=job.spec,
        run=job.run,
        attempts=job.attempts,
        uncharged=job.uncharged,
        crashes=job.crashes,
        recoveries=job.recoveries + recovered,
        checkpoint=job.checkpoint,
        version=job.version,
        due_ms=job.due_ms,
        cancelled=job.cancelled,
    )


class Rescue:
    """Finds stuck jobs and makes them runnable. Any number may do so at a time. Raises Unavailable, EpochChanged."""

    def __init__(
        self, store: Store, broker: Broker, clock: Clock, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._monotonic = monotonic

    async def everything(self, within_s: float) -> Rescued:
        """Rescue whatever is stuck, for about so long at most; what is left over the timer finds."""
        await self._store.epoch.check_trusting()
        until = self._monotonic() + within_s
        tally = _Tally()
        await self._take_back(tally, until)
        await self._promote(tally, until)
        tally.add(await self.push_unpushed(age_ms=UNPUSHED_AGE_MS), RescueReason.NEVER_QUEUED)
        last_id, is_complete = "", True
        while self._monotonic() < until:
            compared = await self.compare(last_id)
            is_complete &= compared.is_complete
            for job in compared.rescued:
                tally.add([job.id], job.reason)
            if compared.last_id is None:
                return Rescued(jobs=tally.jobs, total=tally.total, is_complete=is_complete)
            last_id = compared.last_id
        return Rescued(jobs=tally.jobs, total=tally.total, is_complete=False)

    async def look(self) -> dict[RescueReason, int]:
        """Count what is stuck now, up to LOOK_MAX for each reason, without changing anything.

        What is MISSING only a comparison finds.
        """
        old_ms = self._clock() - LOOK_AGE_MS
        return {
            RescueReason.WORKER_LOST: await abandoned(self._broker, OVERDUE_MS),
            RescueReason.OVERDUE: len(await self._broker.overdue(OVERDUE_MS, LOOK_MAX)),
            RescueReason.NEVER_QUEUED: len(await self._store.search.unpushed(created_before_ms=old_ms, limit=LOOK_MAX)),
        }

    async def _take_back(self, tally: _Tally, until: float) -> None:
        while self._monotonic() < until:
            reaped, _ = await self._broker.reap(BATCH)
            tally.add(reaped, RescueReason.WORKER_LOST)
            if len(reaped) < BATCH:
                return

    async def _promote(self, tally: _Tally, until: float) -> None:
        while self._monotonic() < until:
            overdue = await self._broker.overdue(OVERDUE_MS, BATCH)
            if not overdue:
                return
            await self._broker.promote_due(BATCH)
            tally.add(overdue, RescueReason.OVERDUE)

    async def push_unpushed(self, *, age_ms: int) -> list[str]:
        """Push a batch of the oldest jobs that were accepted so long ago and of which nothing was heard since.

        Returns those that had not arrived. The same ones are found again until their arrival is recorded.
        """
        deadline_ms = await self._broker.deadline_ms()
        jobs = await self._store.search.unpushed(created_before_ms=self._clock() - age_ms, limit=BATCH)
        return await self._push(jobs, deadline_ms, recovered=False)

    async def compare(self, after_id: str) -> Comparison:
        """Look whether the broker knows the next unfinished jobs of history, and push those that it does not."""
        rows = await self._store.search.open_rows(after_id=after_id, limit=BATCH)
        if not rows:
            return Comparison([], None)
        runs = await self._broker.runs([row.id for row in rows])
        young_ms = self._clock() - UNPUSHED_AGE_MS
        missing = [
            row
            for row, run in zip(rows, runs, strict=True)
            if run < row.run and (row.version or row.updated_ms < young_ms)
        ]
        last_id = rows[-1].id if len(rows) == BATCH else None
        return await self._push_missing(missing, last_id) if missing else Comparison([], last_id)

    async def _push_missing(self, missing: Sequence[OpenRow], last_id: str | None) -> Comparison:
        begun = {row.id for row in missing if row.version}
        caught_up = not begun or await self._is_caught_up()
        deadline_ms = await self._broker.deadline_ms()
        jobs = await self._store.search.unfinished_among([row.id for row in missing])
        never = [job for job in jobs if not job.version]
        lost = [job for job in jobs if job.version and job.spec.id in begun]
        pushed = await self._push(never, deadline_ms, recovered=False)
        rescued = [RescuedJob(job_id, RescueReason.NEVER_QUEUED) for job_id in pushed]
        if caught_up:  # what happened to them, and is not recorded yet, would be forgotten
            recovered = await self._push(lost, deadline_ms, recovered=True)
            rescued += [RescuedJob(job_id, RescueReason.MISSING) for job_id in recovered]
        return Comparison(rescued, last_id, caught_up or not lost)

    async def _is_caught_up(self) -> bool:
        """Wait a moment for history to know all that has happened by now; tell whether it does."""
        last = await self._broker.stream.last()
        until = self._monotonic() + CATCH_UP_S
        while last.ms and await self._store.history.position() < last:
            if self._monotonic() >= until:
                return False
            await asyncio.sleep(CATCH_UP_S / 10)
        return True

    async def _push(self, jobs: Sequence[Unfinished], deadline_ms: int, *, recovered: bool) -> list[str]:
        """Push jobs; return those that the broker did not know."""
        answers = await self._broker.push(
            [push_of(job, recovered=recovered) for job in jobs], recovered=recovered, deadline_ms=deadline_ms
        )
        return [job.spec.id for job, answer in zip(jobs, answers, strict=True) if answer is Pushed.NEW]


class _Tally:
    """Counts rescued jobs, and remembers the first of them."""

    def __init__(self) -> None:
        self.jobs: list[RescuedJob] = []
        self.total = 0

    def add(self, ids: Sequence[str], reason: RescueReason) -> None:
        """Take in jobs that were rescued."""
        self.total += len(ids)
        self.jobs += [RescuedJob(job_id, reason) for job_id in ids[: NAMED_MAX - len(self.jobs)]]
