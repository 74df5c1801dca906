"""The reconciler: Redis holds what the store has accepted, also after it lost everything.

The store's epoch is the truth, Redis holds a copy. A copy that is missing or different, or a server
process that was started anew, means that Redis may have lost or forgotten something: the epoch is
raised, jobs that have ended are discarded there, those that were to be cancelled are cancelled, and jobs that
have not ended are pushed. Redis remembers which epoch was reconciled to the end, so a reconciler that dies in the
middle is followed by another.

Besides, what is to be cancelled is brought to Redis in every turn, what was accepted and never arrived is pushed every
few seconds, and every few minutes everything that has not ended is looked for in Redis (jobs/rescue.py), in case
something was lost there unnoticed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import structlog

from jobs.adoption import Adoption
from jobs.broker import Broker, Cancelling, Pushed
from jobs.broker.spec import specs
from jobs.cancel import Canceller
from jobs.clock import Clock, now_ms
from jobs.errors import QueueFull, Stale
from jobs.job import Durability
from jobs.probe import Health
from jobs.rescue import Rescue, push_of
from jobs.retention import GRACE_MIN_S
from jobs.services.base import Loop
from jobs.store import Store

log = structlog.get_logger(__name__)

INTERVAL_S = 0.5
UNPUSHED_EVERY_S = 5.0
UNPUSHED_AGE_MS = 15_000
COMPARE_EVERY_S = 180.0
"""Pause between two comparisons of everything; each takes half a second per thousand jobs that have not ended."""
BATCH = 1_000


class Reconciler(Loop):
    """Compares store and Redis. Any number may run: raising the epoch is a compare-and-set, pushes are idempotent."""

    name = "reconciler"

    def __init__(
        self, store: Store, broker: Broker, adoption: Adoption | None = None, *, clock: Clock = now_ms
    ) -> None:
        super().__init__()
        self._store = store
        self._broker = broker
        self._clock = clock
        self._pushed_at = 0.0
        self._full = ""
        self._adoption = adoption or Adoption(store, broker)
        self._rescue = Rescue(store, broker, clock)
        self._canceller = Canceller(store, broker)
        self._cancelled_id = ""
        self._compared_id: str | None = None
        self._compared_at = time.monotonic()

    async def turn(self) -> float:
        """Look at the epoch; from time to time push what was accepted and never reached Redis, or was lost there."""
        if not await self._epoch_holds():
            if not await self._adoption.is_settled():
                return INTERVAL_S
            await self._raise_epoch()
        try:
            await self._fill()
        except QueueFull as error:
            if not self._full:
                log.warning("reconciler.waits_for_room", reason=str(error))
            self._full = str(error)
        return INTERVAL_S

    def health(self) -> Health:
        """Tell whether it makes progress, and what it waits for."""
        health = super().health()
        return (
            health._replace(detail=f"Accepted jobs wait for room. {self._full}") if health.ok and self._full else health
        )

    async def _fill(self) -> None:
        """Push what Redis does not have, as far as there is room. Raises QueueFull."""
        if not await self._broker.is_reconciled():
            await self._reconcile()
        await self._cancel()
        await self._push_set_aside()
        if time.monotonic() - self._pushed_at >= UNPUSHED_EVERY_S:
            pushed = await self._rescue.push_unpushed(age_ms=UNPUSHED_AGE_MS)
            if pushed:  # there may be more behind them
                log.info("reconciler.pushed", jobs=len(pushed))
            self._pushed_at = 0.0 if pushed else time.monotonic()
            if self._full:
                log.info("reconciler.has_room")
                self._full = ""
        if self._compared_id is not None or time.monotonic() - self._compared_at >= COMPARE_EVERY_S:
            await self._compare()

    async def _cancel(self) -> None:
        """Cancel the next batch of what is to be cancelled. A job that is stopping is asked again, without effect."""
        requests = await self._store.cancel.requested(after_id=self._cancelled_id, limit=BATCH)
        self._cancelled_id = requests[-1].id if len(requests) == BATCH else ""
        answers = await self._canceller.cancel(requests)
        if number := answers.count(Cancelling.CANCELLED):
            log.info("reconciler.cancelled", jobs=number)

    async def _compare(self) -> None:
        """Go on with the comparison of everything that has not ended: one batch, so that no turn takes long."""
        compared = await self._rescue.compare(self._compared_id or "")
        self._compared_id, self._compared_at = compared.last_id, time.monotonic()
        if compared.rescued:
            reasons = Counter(job.reason for job in compared.rescued)
            log.warning("reconciler.rescued", jobs=dict(reasons), first=compared.rescued[0].id)

    async def _epoch_holds(self) -> bool:
        number, run_id = await self._store.epoch.current()
        if number == 0 or await self._broker.read_epoch() != number or await self._broker.run_id() != run_id:
            return False
        if not await self._broker.began_here():
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
        await self._broker.raise_epoch(raised, cleared=False)
        log.info("reconciler.epoch_raised", epoch=raised)

    async def _reconcile(self) -> None:
        epoch = self._broker.epoch
        discarded = await self._discard_ended()
        await self._cancel_known()
        await self._broker.set_cleared(epoch)
        pushed = await self._push_unfinished()
        await self._broker.set_reconciled(epoch)
        log.info("reconciler.reconciled", epoch=epoch, pushed=pushed, discarded=discarded)

    async def _discard_ended(self) -> int:
        discarded, cursor = 0, 0
        while True:
            self.moves()
            cursor, ids = await self._broker.ids(cursor=cursor, limit=BATCH)
            ended = await self._store.search.final_among(ids) if ids else {}
            discarded += await self._broker.discard([*ended.items(), *await self._removed(ids)])
            if cursor == 0:
                return discarded

    async def _removed(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Return jobs, with their runs, that have ended, and that retention has removed from history since.

        What is not of durability MEMORY was in history before it came here. Retention removes nothing this young: what
        is unknown then was lost by the database, as where a replica took over that was behind; it may run, unless its
        arguments are lost with it.
        """
        young_ms = self._clock() - int(GRACE_MIN_S * 1000)
        known = await self._store.search.known_among(ids)
        found = await specs(self._broker, [job_id for job_id in ids if job_id not in known])
        stored = (spec for spec in found if spec.durability is Durability.STORE)
        removed = [spec.id for spec in stored if spec.created_ms < young_ms or spec.payload_bytes]
        return list(zip(removed, await self._broker.runs(removed), strict=True)) if removed else []

    async def _cancel_known(self) -> None:
        """Cancel what is to be cancelled and is here. What is not is pushed as cancelled, with all the rest."""
        after_id = ""
        while requests := await self._store.cancel.requested(after_id=after_id, limit=BATCH):
            self.moves()
            after_id = requests[-1].id
            await self._canceller.cancel_known(requests)

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
                [push_of(job, recovered=True) for job in jobs], recovered=True, deadline_ms=deadline_ms
            )
            pushed += answer.count(Pushed.NEW)

    async def _push_set_aside(self) -> None:
        """Push jobs whose record in Redis could not be read, as soon as history has all that happened to them."""
        deadline_ms = await self._broker.deadline_ms()
        found = await self._broker.set_aside(await self._store.history.position())
        if not found:
            return
        jobs = await self._store.search.unfinished_among(list(found))
        pushes = [push_of(job, recovered=True) for job in jobs]
        await self._broker.push(pushes, recovered=True, deadline_ms=deadline_ms)
        await self._broker.put_back(found.values())
        log.warning("reconciler.put_back", jobs=len(jobs), first=next(iter(found)))
