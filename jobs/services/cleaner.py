"""The cleaner: removes what no policy keeps, each policy on its own timetable.

A run works in short transactions with pauses between them, so that nobody waits for it; it may end after any of them,
and the next run goes on with what is left. Two cleaners at once are harmless.
"""

from __future__ import annotations

import time
from contextlib import aclosing

import structlog

from jobs.broker import Broker
from jobs.errors import Unavailable
from jobs.probe import Health
from jobs.retention import Policy, grace_ms
from jobs.services.leading import LeaderLoop
from jobs.store import Store

log = structlog.get_logger(__name__)

LOOK_S = 5.0
"""How soon a policy that was set is noticed, and that Redis does not answer."""


class Cleaner(LeaderLoop):
    """Runs the policies that are due, one after the other. One process does it at a time."""

    name = "cleaner"

    def __init__(self, store: Store, broker: Broker, *, replay_window_s: float) -> None:
        super().__init__(store)
        self._store = store
        self._broker = broker
        self._grace_ms = grace_ms(replay_window_s)
        self._at_work = ""

    async def lead(self) -> float:
        """Run what is due, what has waited longest first. A policy that fails does not keep the others from running."""
        if not await self._store.epoch.is_trusting():
            return LOOK_S  # what was retried since the backup looks as if it had ended long ago
        fault: Exception | None = None
        for policy in await self._due():
            try:
                if not await self._clean(policy):
                    break
            except Unavailable:
                raise
            except Exception as error:  # it is raised once the others have had their turn
                log.warning("cleaner.fault", kind=policy.kind, queue=policy.queue or None, error=str(error))
                fault = fault or error
        if fault:
            raise fault
        return LOOK_S

    async def _due(self) -> list[Policy]:
        now_ms = await self._broker.now_ms()
        due = [
            (one.next_ms, one.policy)
            for one in await self._store.retention.standing()
            if one.next_ms is not None and one.next_ms <= now_ms
        ]
        return [policy for _, policy in sorted(due, key=lambda pair: pair[0])]

    async def _clean(self, policy: Policy) -> bool:
        """Run one policy; False where it was cut short, because another process leads or this one stops."""
        now_ms, began_s, removed = await self._broker.now_ms(), time.monotonic(), 0
        goes_on = True
        try:
            batches = self._store.retention.run(policy, now_ms=now_ms, grace_ms=self._grace_ms)
            async with aclosing(batches):
                async for batch in batches:
                    removed += batch
                    self._at_work = f"It has removed {removed:,} of {policy.kind} in this run."
                    self.moves()
                    goes_on = not self._stopping.is_set() and await self.leadership.holds()
                    if not goes_on:
                        break
        finally:
            self._at_work = ""
        await self._store.retention.note_run(policy, removed, ran_ms=now_ms if goes_on else None)
        took_s = round(time.monotonic() - began_s, 3)
        log.info(
            "cleaner.ran" if goes_on else "cleaner.cut_short",
            kind=str(policy.kind), queue=policy.queue or None, removed=removed, seconds=took_s,
        )  # fmt: skip
        return goes_on

    def health(self) -> Health:
        """Tell whether it makes progress, and what it does."""
        health = super().health()
        return health._replace(detail=self._at_work) if health.ok and self._at_work else health
