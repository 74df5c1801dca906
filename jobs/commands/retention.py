"""Commands on what is kept: policies, and cleaning by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.errors import InvalidOption, NotFound
from jobs.job import FINAL, State
from jobs.name import check_queue
from jobs.retention import DAY_S, KEEP_MAX_S, Kind, Policy, Standing, check, check_clocks, grace_ms
from jobs.viewer import Permission, Viewer

QUEUES_MAX = 100
OLDER_S = DAY_S
WITHIN_S, WITHIN_MAX_S = 10.0, 25.0


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What cleaning by hand came to."""

    removed: int
    is_complete: bool
    """Whether everything that was asked for is gone; false where the time was up."""


class RetentionCommands:
    """Set and remove policies; clean by hand."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts
        self._grace_ms = grace_ms(parts.settings.replay_window_s)

    @command(Permission.ADMINISTER, "retention.set")
    async def set(self, _viewer: Viewer, policy: Policy) -> Standing:
        """Put a policy in the place of the one that its queue, or all queues, had for its kind. It runs soon after.

        Raises Forbidden, InvalidOption, StoreUnavailable.
        """
        check(policy)
        await self._parts.store.retention.set(policy, now_ms=self._parts.clock())
        return await self._standing(policy.kind, policy.queue)

    @command(Permission.ADMINISTER, "retention.remove")
    async def remove(self, _viewer: Viewer, kind: Kind, queue: str = "") -> Standing:
        """Remove a policy that was set; returns the one that is in force instead.

        Raises Forbidden, InvalidOption, NotFound where none was set, StoreUnavailable.
        """
        check_queue(queue or None)
        if not await self._parts.store.retention.remove(kind, queue):
            whose = f'the queue "{queue[:128]}"' if queue else "all queues"
            raise NotFound(f"No policy for {kind} of {whose} was set.", path=("kind",))
        return await self._standing(kind, "")

    @command(Permission.OPERATE, "job.clean")
    async def clean(
        self,
        _viewer: Viewer,
        *,
        queues: Sequence[str] = (),
        states: Sequence[State] = (),
        older_s: float = OLDER_S,
        within_s: float = WITHIN_S,
    ) -> Cleaned:
        """Remove jobs that ended longer ago than `older_s`, for about `within_s` at most.

        `queues`: empty: all. `states`: final ones. What is removed cannot be brought back. Jobs whose idempotency key
        has not expired stay. Raises Forbidden, InvalidOption, NotFound for a queue that never had a job, and
        Unavailable, also between a restore and the next epoch, and where the clock of Redis is wrong.
        """
        self._check_cleaning(queues, states, older_s, within_s)
        await self._parts.store.epoch.check_trusting()
        unknown = set(queues).difference(await self._parts.store.search.queues())
        if unknown:
            raise NotFound(f'There is no queue "{min(unknown)[:128]}".', path=("queues",))
        now_ms = await self._parts.broker.now_ms()
        check_clocks(now_ms, self._parts.clock())
        deadline_s = time.monotonic() + within_s
        batches = self._parts.store.retention.clean(
            tuple(dict.fromkeys(queues)),
            tuple(dict.fromkeys(states)),
            older_s=int(older_s),
            now_ms=now_ms,
            grace_ms=self._grace_ms,
        )
        removed = 0
        async with aclosing(batches):
            async for batch in batches:
                removed += batch
                if time.monotonic() >= deadline_s:
                    return Cleaned(removed=removed, is_complete=False)
        return Cleaned(removed=removed, is_complete=True)

    def _check_cleaning(self, queues: Sequence[str], states: Sequence[State], older_s: float, within_s: float) -> None:
        if len(queues) > QUEUES_MAX:
            raise InvalidOption(f"At most {QUEUES_MAX} queues can be named.", path=("queues",))
        if not states or not FINAL.issuperset(states):
            raise InvalidOption(
                "Only jobs that have ended can be cleaned: COMPLETED, CANCELLED, DEAD.", path=("states",)
            )
        if not self._grace_ms <= older_s * 1000 <= KEEP_MAX_S * 1000:
            raise InvalidOption(
                f"`olderThan` must be at least {self._grace_ms // 1000:,} seconds, since subscribers may still catch up"
                " on what happened to younger jobs, and at most 100 years.",
                path=("older_than",),
            )
        if not 0 < within_s <= WITHIN_MAX_S:
            raise InvalidOption(
                f"`within` must be more than 0 and at most {WITHIN_MAX_S:.0f} seconds.", path=("within",)
            )

    async def _standing(self, kind: Kind, queue: str) -> Standing:
        standing = await self._parts.store.retention.standing()
        found = {one.policy.queue: one for one in standing if one.policy.kind is kind}
        return found.get(queue) or found[""]
