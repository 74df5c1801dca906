"""The reconciler: Redis holds what the store has accepted, also after it lost everything.

The store's epoch is the truth, Redis holds a copy. A copy that is missing or different, or a server
process that was started anew, means that Redis may have lost or forgotten something: the epoch is
raised, jobs that have ended are discarded there, jobs that have not are pushed. Redis remembers
which epoch was reconciled to the end, so a reconciler that dies in the middle is followed by another.
"""

from __future__ import annotations

import time

import structlog

from jobs.broker import Broker, Push, Pushed
from jobs.clock import Clock, now_ms
from jobs.errors import Stale
from jobs.services.base import Loop
from jobs.store import Store

log = structlog.get_logger(__name__)

INTERVAL_S = 0.5
UNPUSHED_EVERY_S = 5.0
UNPUSHED_AGE_MS = 15_000
BATCH = 1_000


class Reconciler(Loop):
    """Compares store and Redis. Any number may run: raising the epoch is a compare-and-set, pushes are idempotent."""

    name = "reconciler"

    def __init__(self, store: Store, broker: Broker, *, clock: Clock = now_ms) -> None:
        super().__init__()
        self._store = store
        self._broker = broker
        self._clock = clock
        self._pushed_at = 0.0

    async def turn(self) -> float:
        """Look at the epoch; from time to time push what was accepted and never reached Redis."""
        if not await self._epoch_holds():
            await self._raise_epoch()
        if not await self._broker.is_reconciled():
            await self._reconcile()
        if time.monotonic() - self._pushed_at >= UNPUSHED_EVERY_S:
            more = await self._push_unpushed()
            self._pushed_at = 0.0 if more else time.monotonic()
        return INTERVAL_S

    async def _epoch_holds(self) -> bool:
        number, run_id = await self._store.epoch.current()
        if number == 0 or await self._broker.read_epoch() != number or await self._broker.run_id() != run_id:
            return False
        await self._broker.refresh_epoch()
        return True

    async def _raise_epoch(self) -> None:
        number, _ = await self._store.epoch.current()
        number = max(number, await self._broker.read_epoch(), self._broker.epoch)
        try:
            raised = await self._store.epoch.raise_to(number, await self._broker.run_id())
        except Stale:
            return  # another reconciler was faster
        await self._broker.raise_epoch(raised)
        log.info("reconciler.epoch_raised", epoch=raised)

    async def _reconcile(self) -> None:
        epoch = self._broker.epoch
        discarded = await self._discard_ended()
        pushed = await self._push_unfinished()
        await self._broker.set_reconciled(epoch)
        log.info("reconciler.reconciled", epoch=epoch, pushed=pushed, discarded=discarded)

    async def _discard_ended(self) -> int:
        discarded, cursor = 0, 0
        while True:
            self.moves()
            cursor, ids = await self._broker.ids(cursor=cursor, limit=BATCH)
            ended = await self._store.search.final_among(ids) if ids else {}
            discarded += await self._broker.discard(list(ended.items()))
            if cursor == 0:
                return discarded

    async def _push_unfinished(self) -> int:
        pushed, after_id = 0, ""
        while True:
            self.moves()
            deadline_ms = await self._broker.deadline_ms()
            jobs = await self._store.search.unfinished(after_id=after_id, limit=BATCH)
            if not jobs:
                return pushed
            after_id = jobs[-1].spec.id
            answer = await self._broker.push(
                [
                    Push(
                        spec=job.spec,
                        run=job.run,
                        attempts=job.attempts,
                        uncharged=job.uncharged,
                        crashes=job.crashes,
                        recoveries=job.recoveries + 1,
                        checkpoint=job.checkpoint,
                        due_ms=job.due_ms,
                    )
                    for job in jobs
                ],
                recovered=True,
                deadline_ms=deadline_ms,
            )
            pushed += answer.count(Pushed.NEW)

    async def _push_unpushed(self) -> bool:
        """Push a batch of what never reached Redis; tell whether there may be more."""
        deadline_ms = await self._broker.deadline_ms()
        before_ms = self._clock() - UNPUSHED_AGE_MS
        jobs = await self._store.search.unpushed(created_before_ms=before_ms, limit=BATCH)
        if not jobs:
            return False
        answer = await self._broker.push([Push(spec=job.spec, run=job.run) for job in jobs], deadline_ms=deadline_ms)
        if pushed := answer.count(Pushed.NEW):
            log.info("reconciler.pushed", jobs=pushed)
        return len(jobs) == BATCH
