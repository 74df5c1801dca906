"""How long things are kept: the policies as they are stored, what they would remove, and removing it.

A row that nobody has set (`updated_ms` 0) remembers only when the shipped policy ran.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable, Sequence

from jobs.job import State
from jobs.retention import ENDED, SHIPPED, Kind, Policy, Preview, Share, Standing
from jobs.store.database import Database, Row
from jobs.store.ended import Ended
from jobs.store.pace import sweep
from jobs.store.shelf import SHELVES, Old

COUNT_MAX = 10_001
"""What is to go is counted up to here."""
COUNT_S = 3.0
"""For how long the queues that have any of it are looked at, one after the other."""

_READ = (
    "SELECT queue, kind, keep_s, keep_count, every_s, updated_ms, ran_ms, removed, removed_total FROM retention_policy"
)
_SET = (
    "INSERT INTO retention_policy (queue, kind, keep_s, keep_count, every_s, updated_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (queue, kind) DO UPDATE SET keep_s = excluded.keep_s,"
    " keep_count = excluded.keep_count, every_s = excluded.every_s, updated_ms = excluded.updated_ms"
)
_REMOVE = "DELETE FROM retention_policy WHERE queue = $1 AND kind = $2 AND updated_ms > 0"
# For each queue by itself: as a join it might read all jobs there are.
_QUEUES = (
    "SELECT name FROM queue WHERE (SELECT job.finished_ms FROM job WHERE job.queue = queue.name AND job.state = $1"
    " AND job.finished_ms IS NOT NULL ORDER BY job.finished_ms LIMIT 1) < $2"
)
_RAN = (
    "INSERT INTO retention_policy (queue, kind, every_s, updated_ms, ran_ms, removed, removed_total)"
    " VALUES ($1, $2, $3, 0, $4, $5, $5) ON CONFLICT (queue, kind) DO UPDATE SET"
    " ran_ms = COALESCE(excluded.ran_ms, retention_policy.ran_ms), removed = excluded.removed,"
    " removed_total = retention_policy.removed_total + excluded.removed"
)


class Retention:
    """What is kept, and for how long. All methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self) -> list[Standing]:
        """Return every policy that is in force: by kind, the one for all queues first."""
        rows = await self._database.fetch(_READ)
        found = {(one.policy.kind, one.policy.queue): one for one in map(_standing, rows) if one}
        for kind, policy in SHIPPED.items():
            found.setdefault((kind, ""), Standing(policy=policy, is_shipped=True))
        places = {kind: place for place, kind in enumerate(Kind)}
        return [found[key] for key in sorted(found, key=lambda key: (places[key[0]], key[1]))]

    async def set(self, policy: Policy, *, now_ms: int) -> None:
        """Put a policy in the place of the one that the queue, or all queues, had for this kind."""
        values = (policy.queue, str(policy.kind), policy.keep_s, policy.keep_count, policy.every_s, max(1, now_ms))
        async with self._database.transaction() as transaction:
            await transaction.execute(_SET, values)

    async def remove(self, kind: Kind, queue: str) -> bool:
        """Remove a policy that was set: a queue follows that for all queues again, and this the shipped one.

        Returns False where none was set.
        """
        async with self._database.transaction() as transaction:
            return await transaction.execute(_REMOVE, (queue, str(kind))) > 0

    async def note_run(self, policy: Policy, removed: int, *, ran_ms: int | None) -> None:
        """Note how many records a run removed, and when it ended; None where it did not come to its end."""
        values = (policy.queue, str(policy.kind), policy.every_s, ran_ms, removed)
        async with self._database.transaction() as transaction:
            await transaction.execute(_RAN, values)

    async def run(self, policy: Policy, *, now_ms: int, grace_ms: int) -> AsyncGenerator[int, None]:
        """Remove what the policy does not keep; yields after each short transaction how many records that removed.

        It yields 0 after each queue, so that whoever runs it learns that it goes on. Jobs that ended less than
        `grace_ms` ago stay. Whoever stops to iterate leaves the rest for the next run.
        """
        if policy.kind in ENDED:
            for ended in await self._ended(policy, now_ms=now_ms, grace_ms=grace_ms):
                await ended.bound(policy)
                async for removed in sweep(self._database, ended):
                    yield removed
                yield 0
        elif policy.keep_s is not None and policy.kind in SHELVES:
            old = Old(self._database, SHELVES[policy.kind], keep_s=policy.keep_s, now_ms=now_ms)
            async for removed in sweep(self._database, old):
                yield removed

    async def clean(
        self, queues: Sequence[str], states: Iterable[State], *, older_s: int, now_ms: int, grace_ms: int
    ) -> AsyncGenerator[int, None]:
        """Remove ended jobs of these queues and states, all queues where none is named, whatever the policies say.

        Yields and stops as `run` does.
        """
        policy = Policy(kind=Kind.COMPLETED, keep_s=older_s)
        for state in states:
            for queue in queues or await self._queues(state, now_ms - max(grace_ms, older_s * 1000)):
                ended = Ended(self._database, queue, state, now_ms=now_ms, grace_ms=grace_ms)
                await ended.bound(policy)
                async for removed in sweep(self._database, ended):
                    yield removed
                yield 0

    async def preview(self, policy: Policy, *, now_ms: int, grace_ms: int) -> Preview:
        """Count what `run` would remove, up to `COUNT_MAX` in all; each queue that loses any has a share.

        Where there are more queues than `COUNT_S` is enough for, the last ones are left out.
        """
        shares: list[Share] = []
        is_complete = True
        if policy.kind in ENDED:
            left, deadline_s = COUNT_MAX, time.monotonic() + COUNT_S
            for ended in await self._ended(policy, now_ms=now_ms, grace_ms=grace_ms):
                if time.monotonic() >= deadline_s:
                    is_complete = False
                    break
                await ended.bound(policy)
                share = await ended.count(max(1, left))
                if share:
                    shares.append(share)
                    left -= share.value
        elif policy.keep_s is not None and policy.kind in SHELVES:
            old = Old(self._database, SHELVES[policy.kind], keep_s=policy.keep_s, now_ms=now_ms)
            share = await old.count(COUNT_MAX)
            shares = [share] if share else []
        return Preview(kind=policy.kind, shares=shares, is_complete=is_complete)

    async def _ended(self, policy: Policy, *, now_ms: int, grace_ms: int) -> list[Ended]:
        """Return the jobs that a policy is about, queue by queue."""
        queues, state = [policy.queue], ENDED[policy.kind]
        if not policy.queue:
            own = {one.policy.queue for one in await self.standing() if one.policy.kind is policy.kind}
            keep_ms = policy.keep_s * 1000 if policy.keep_s is not None and policy.keep_count is None else 0
            found = await self._queues(state, now_ms - max(grace_ms, keep_ms))
            queues = [name for name in found if name not in own]
        return [Ended(self._database, queue, state, now_ms=now_ms, grace_ms=grace_ms) for queue in queues]

    async def _queues(self, state: State, before_ms: int) -> list[str]:
        """Return the queues with jobs that ended in this state before a moment."""
        return sorted(row["name"] for row in await self._database.fetch(_QUEUES, (str(state), before_ms)))


def _standing(row: Row) -> Standing | None:
    """Return the policy of a row; None for a kind that this version does not know."""
    if row["kind"] not in Kind.__members__:
        return None
    kind, is_shipped = Kind(row["kind"]), not row["updated_ms"]
    if is_shipped and (row["queue"] or kind not in SHIPPED):
        return None  # it was removed while it ran
    policy = SHIPPED[kind] if is_shipped else Policy(
        kind=kind, queue=row["queue"], keep_s=row["keep_s"], keep_count=row["keep_count"], every_s=row["every_s"]
    )  # fmt: skip
    return Standing(
        policy=policy,
        is_shipped=is_shipped,
        ran_ms=row["ran_ms"],
        removed=row["removed"],
        removed_total=row["removed_total"],
    )
