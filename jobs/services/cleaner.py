"""The cleaner: removes what no policy keeps, each policy on its own timetable.

A run works in short transactions with pauses between them, so that nobody waits for it; it may end after any of them,
and the next run goes on with what is left. Two cleaners at once are harmless.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress

import structlog

from jobs.broker import Broker
from jobs.clock import Clock, now_ms
from jobs.errors import StoreUnavailable
from jobs.probe import Health
from jobs.retention import Kind, Policy, Standing, check_clocks, grace_ms
from jobs.services.leading import LeaderLoop
from jobs.store import Store

log = structlog.get_logger(__name__)

LOOK_S = 5.0
"""How soon a policy that was set is noticed, and that Redis does not answer."""
LOOK_AGAIN_S = 0.5
"""How soon a run that is under way notices that policies were changed, or that the database was restored."""


class Cleaner(LeaderLoop):
    """Runs the policies that are due, one after the other. One process does it at a time."""

    name = "cleaner"

    def __init__(self, store: Store, broker: Broker, *, replay_window_s: float, clock: Clock = now_ms) -> None:
        super().__init__(store)
        self._store = store
        self._broker = broker
        self._clock = clock
        self._grace_ms = grace_ms(replay_window_s)
        self._at_work = ""
        self._looked_s = 0.0
        self._failed_s: dict[Policy, float] = {}
        self._removed: Counter[tuple[Kind, str]] = Counter()
        """What was removed and is not noted as yet, by kind and queue."""

    async def lead(self) -> float:
        """Run what is due, what has waited longest first. A policy that fails does not keep the others from running."""
        standing = await self._store.retention.standing()
        policies = [one.policy for one in standing]
        self._forget(policies)
        fault: Exception | None = None
        for policy in self._due(standing, await self._now_ms()):
            if not await self._goes_on(policies):
                break
            try:
                await self._clean(policy, policies)
                self._failed_s.pop(policy, None)
            except Exception as error:  # it is raised once the others have had their turn
                if policy not in self._failed_s:  # it is tried again and again
                    log.warning("cleaner.fault", kind=policy.kind, queue=policy.queue or None, error=str(error))
                self._failed_s[policy] = time.monotonic()
                fault = fault or error
        if fault:
            raise fault
        return LOOK_S

    def _due(self, standing: Sequence[Standing], now_ms: int) -> list[Policy]:
        """Return what is due: what failed goes last, though it has waited longest."""
        due = [(self._failed_s.get(one.policy, 0.0), one.next_ms, one.policy) for one in standing if one.is_due(now_ms)]
        return [policy for *_, policy in sorted(due, key=lambda one: one[:2])]

    async def _now_ms(self) -> int:
        now_ms = await self._broker.now_ms()
        check_clocks(now_ms, self._clock())
        return now_ms

    async def _clean(self, policy: Policy, policies: Sequence[Policy]) -> None:
        """Run one policy for as long as `policies` are those in force, this process leads, and is not to stop."""
        now_ms, began_s, removed = await self._now_ms(), time.monotonic(), 0
        goes_on = True
        try:
            batches = self._store.retention.run(policy, now_ms=now_ms, grace_ms=self._grace_ms)
            async with aclosing(batches):
                async for batch in batches:
                    removed += batch
                    self._removed[policy.kind, policy.queue] += batch
                    self._at_work = f"It has removed {removed:,} of {policy.kind} in this run."
                    self.moves()
                    goes_on = await self._goes_on(policies, looks_every_s=LOOK_AGAIN_S)
                    if not goes_on:
                        break
        except Exception:
            if removed:  # it is tried again and again
                _tell("cleaner.cut_short", policy, removed, began_s)
            with suppress(StoreUnavailable):  # it is noted with the next run then
                await self._note(policy, ran_ms=None)
            raise
        finally:
            self._at_work = ""
        _tell("cleaner.ran" if goes_on else "cleaner.cut_short", policy, removed, began_s)
        await self._note(policy, ran_ms=now_ms if goes_on else None)

    async def _note(self, policy: Policy, *, ran_ms: int | None) -> None:
        """Note when a policy ran, and what it has removed, in this run and in those that could not be noted."""
        removed = self._removed[policy.kind, policy.queue]
        if removed or ran_ms is not None:
            await self._store.retention.note_run(policy, removed, ran_ms=ran_ms)
        del self._removed[policy.kind, policy.queue]

    def _forget(self, policies: Sequence[Policy]) -> None:
        """Know only of policies that are in force."""
        self._failed_s = {policy: failed_s for policy, failed_s in self._failed_s.items() if policy in policies}
        for key in self._removed.keys() - {(policy.kind, policy.queue) for policy in policies}:
            del self._removed[key]

    async def _goes_on(self, policies: Sequence[Policy], *, looks_every_s: float = 0.0) -> bool:
        if self._stopping.is_set() or not await self.leadership.holds():
            return False
        if time.monotonic() - self._looked_s < looks_every_s:
            return True
        self._looked_s = time.monotonic()
        if not await self._store.epoch.is_trusting():
            return False  # what was retried since the backup looks as if it had ended long ago
        return policies == [one.policy for one in await self._store.retention.standing()]

    def health(self) -> Health:
        """Tell whether it makes progress, and what it does."""
        health = super().health()
        return health._replace(detail=self._at_work) if health.ok and self._at_work else health


def _tell(event: str, policy: Policy, removed: int, began_s: float) -> None:
    took_s = round(time.monotonic() - began_s, 3)
    log.info(event, kind=str(policy.kind), queue=policy.queue or None, removed=removed, seconds=took_s)
