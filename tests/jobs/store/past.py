"""Jobs that ended long ago."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from jobs.job import JobSpec, State
from jobs.retention import DAY_S, Policy
from jobs.store import Store
from jobs.store.keys import IDEMPOTENCY_MS
from tests.factories import make_spec
from tests.jobs.store.story import BEGIN_MS, Story, Tale

NOW_MS = BEGIN_MS + 100 * DAY_S * 1000
GRACE_MS = 600_000
_EXPIRES = "UPDATE job_key SET expires_ms = $1 WHERE job_id = $2 AND expires_ms IS NOT NULL"
_COUNT = "SELECT count(*) AS n FROM "
TABLES = ("job", "job_tag", "job_key", "attempt", "log_line")


def ago(seconds: float) -> int:
    return NOW_MS - int(seconds * 1000)


class Past:
    """Makes jobs that ended at a moment."""

    def __init__(self, store: Store, story: Story) -> None:
        self.store = store
        self._story = story

    async def ended(
        self, *ended_ms: int, state: State = State.COMPLETED, lines: int = 1, **fields: Any
    ) -> list[JobSpec]:
        """Accept a job for each moment, and let it end then, with so many log lines."""
        specs = [make_spec(created_ms=at_ms - 1_000, **fields) for at_ms in ended_ms]
        await self.store.accept.accept_many(specs)
        for spec in specs:
            if spec.idempotency_key:  # as if they were accepted then
                async with self.store._database.transaction() as transaction:
                    await transaction.execute(_EXPIRES, (spec.created_ms + IDEMPOTENCY_MS, spec.id))
        for spec, at_ms in zip(specs, ended_ms, strict=True):
            await self.end(spec, at_ms, state, lines=lines)
        return specs

    async def end(self, spec: JobSpec, at_ms: int, state: State, *, run: int = 1, lines: int = 0) -> None:
        """Let a run of a job end."""
        tale = Tale(spec, run=run)
        tale.at_ms = at_ms - 30 - 10 * lines
        tale.enqueued().started()
        for number in range(lines):
            tale.logged(f"line {number}")
        match state:
            case State.COMPLETED:
                tale.completed()
            case State.DEAD:
                tale.died()
            case _:
                tale.cancelled(1)
        await self._story.record(tale)


def batches(store: Store, policy: Policy) -> AsyncGenerator[int, None]:
    return store.retention.run(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)


async def run(store: Store, policy: Policy, *, now_ms: int = NOW_MS, grace_ms: int = GRACE_MS) -> int:
    return sum([removed async for removed in store.retention.run(policy, now_ms=now_ms, grace_ms=grace_ms)])


async def left(store: Store, specs: list[JobSpec]) -> list[int]:
    """Places of those that are still there."""
    known = await store.search.jobs_by_id([spec.id for spec in specs])
    return [place for place, spec in enumerate(specs) if spec.id in known]


async def rows(store: Store) -> dict[str, int]:
    counts = [await store._database.fetch(_COUNT + table) for table in TABLES]
    return {table: rows[0]["n"] for table, rows in zip(TABLES, counts, strict=True)}
