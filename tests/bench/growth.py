"""Whether the database stops growing: jobs go through the store in small rounds while retention removes the old ones.

Each job is accepted, starts, logs two lines and ends; a few fail for good. Time is simulated: a round of 1,000 jobs
takes 100 seconds of it. After each round the policies run as the cleaner runs them. The figures are taken at 20 points
of the way; with what is kept being constant, rows and size must level off. PostgreSQL's autovacuum goes by real time,
of which too little passes: its tables are vacuumed every ten rounds, which is less often than it would be.
"""

from __future__ import annotations

import time
from typing import Any

from jobs.job import JobSpec
from jobs.retention import Kind, Policy
from jobs.store import Store
from jobs.store.migrate import Migrator
from tests.bench import sizes
from tests.bench.database import at
from tests.factories import make_spec
from tests.jobs.store.story import BEGIN_MS, Story, Tale

ROUND = 1_000
ROUND_MS = 100_000
BATCH = 200
POINTS = 20
QUEUES = 4
DEAD_SHARE = 50
"""One job in so many fails for good."""
VACUUM_ROUNDS = 10


def policies(rounds: int) -> tuple[Policy, ...]:
    """Keep about a tenth of what comes in so many rounds."""
    life_s = rounds * ROUND_MS // 1000
    return (
        Policy(kind=Kind.COMPLETED, keep_s=life_s // 10),
        Policy(kind=Kind.COMPLETED, queue="queue0", keep_count=rounds * ROUND // 100),
        Policy(kind=Kind.DEAD, keep_s=life_s // 5, keep_count=100),
        Policy(kind=Kind.LOG, keep_s=life_s // 20),
        Policy(kind=Kind.ROLLUP_MINUTE, keep_s=7_200),
    )


class Growth:
    """Jobs that come and go in one store, on a clock of their own."""

    def __init__(self, store: Store, url: str, policies: tuple[Policy, ...]) -> None:
        self._store = store
        self._url = url
        self._policies = policies
        self._story = Story(store)
        self._now_ms = BEGIN_MS
        self._made = 0
        self.removed = 0

    async def round(self) -> None:
        """Let so many jobs come and end, and then remove what is old."""
        for _ in range(ROUND // BATCH):
            self._now_ms += ROUND_MS * BATCH // ROUND
            specs = [self._spec() for _ in range(BATCH)]
            await self._store.accept.accept_many(specs)
            await self._story.record(*[self._tale(spec, number) for number, spec in enumerate(specs)])
        for policy in self._policies:
            async for removed in self._store.retention.run(policy, now_ms=self._now_ms, grace_ms=60_000):
                self.removed += removed

    def _spec(self) -> JobSpec:
        self._made += 1
        number = self._made
        return make_spec(
            f"task{number % 7}",
            args={"order": number, "text": "lorem ipsum " * 10},
            queue=f"queue{number % QUEUES}",
            tags=(f"batch-{number // 5_000}", f"region-{number % 5}"),
            key=f"key-{number}" if number % 10 == 0 else "",
            created_ms=self._now_ms - 1_000,
        )

    def _tale(self, spec: JobSpec, number: int) -> Tale:
        tale = Tale(spec)
        tale.at_ms = self._now_ms - 100
        tale.enqueued().started().logged("It has begun.").logged("It is about to end.")
        return tale.completed() if number % DEAD_SHARE else tale.died()

    async def vacuum(self) -> None:
        """Make what was removed usable again, as autovacuum does."""
        if self._store.dialect == "postgres":
            for table in sizes.TABLES:
                await self._store._database.fetch(f"VACUUM {table}")

    async def figures(self) -> dict[str, Any]:
        """Count the rows of each table, and the bytes of all."""
        return {"jobs": self._made, **await sizes.of_database(self._store._database, self._url)}


async def run(*, rows: int, database: str = "") -> dict[str, Any]:
    """Let `rows` jobs come and go, in a new database of SQLite or in `database`; tell how it grew.

    `growth_second_half`: size at the end by size in the middle; 1.0 where it has stopped to grow.
    """
    rounds = max(POINTS, -(-rows // ROUND))
    with at(database) as url:
        await Migrator().migrate(url)
        store = await Store.open(url)
        began_s = time.perf_counter()
        points: list[dict[str, Any]] = []
        try:
            for policy in policies(rounds):
                await store.retention.set(policy, now_ms=1)
            growth = Growth(store, url, policies(rounds))
            for number in range(1, rounds + 1):
                await growth.round()
                if number % VACUUM_ROUNDS == 0:
                    await growth.vacuum()
                if number * POINTS // rounds > len(points):
                    points.append(await growth.figures())
        finally:
            await store.close()
    middle, last = points[POINTS // 2 - 1], points[-1]
    return {
        "dialect": store.dialect,
        "jobs": last["jobs"],
        "removed": growth.removed,
        "seconds": round(time.perf_counter() - began_s, 1),
        "growth_second_half": round(last["database_bytes"] / middle["database_bytes"], 3),
        "timed": {f"{point['jobs']:,} jobs": point for point in points},
    }
