"""Whether Redis and the database stop growing while jobs pass through the whole system, for long.

One Redis, one database, the services and a worker as processes of their own. Jobs come at an even pace, or as fast as
they are done where that is slower. Most log two lines and end well; some fail for good, some are cancelled. What has
ended is kept for a minute, which is the least there is, and the cleaner looks every minute; the replay window is ten
seconds. So what is kept is what one to three minutes brought: everything grows until then, and has to stay level from
there on. The figures are taken at 25 points of the way.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import redis.asyncio
import structlog

from jobs.client import Client
from jobs.commands.request import Enqueued
from jobs.errors import BrokerUnavailable
from jobs.job import State
from jobs.retention import EVERY_MIN_S, Kind, Policy
from jobs.settings import Settings
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM
from tests.bench import sizes
from tests.bench.engine import CHUNK, Bench, environment, opened, settings_of, until_working
from tests.bench.parcel import QUEUES, is_cancelled, request

log = structlog.get_logger(__name__)

POINTS = 25
JOBS_PER_S = 800
STEP = 2 * CHUNK
WAITING_MAX = 4_000
LEVEL = 1.1
"""What is level: the largest size of the last third by that of the second."""
KEPT = (Kind.COMPLETED, Kind.CANCELLED, Kind.DEAD, Kind.ATTEMPT, Kind.LOG, Kind.SNAPSHOT)
POLICIES = (
    *(Policy(kind=kind, keep_s=60, every_s=EVERY_MIN_S) for kind in KEPT),
    Policy(kind=Kind.ROLLUP_MINUTE, keep_s=0, every_s=EVERY_MIN_S),
)
ENVIRON = {
    "QUEUEQL_CONCURRENCY": "500",
    "QUEUEQL_REPLAY_WINDOW_S": "10",
    "QUEUEQL_SNAPSHOT_EVERY_S": "15",
    "QUEUEQL_QUEUES": ",".join(QUEUES),
    "QUEUEQL_TASKS": "tests.bench.parcel",
}


class Flow:
    """Jobs that are fed into a system that runs, and how large everything is meanwhile."""

    def __init__(self, client: Client, through: redis.asyncio.Redis, jobs: int) -> None:
        self._client = client
        self._through = through
        self._jobs = jobs
        self._began_s = time.perf_counter()
        self.points: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, dict[str, dict[str, int]]] = {}

    async def feed(self) -> None:
        """Let the jobs come, two thousand at a time. What a busy machine was late with is not caught up on."""
        next_s = self._began_s
        for made in range(STEP, self._jobs + 1, STEP):
            next_s = max(next_s, time.perf_counter()) + STEP / JOBS_PER_S
            await asyncio.gather(*(self._enqueue(range(end - CHUNK, end)) for end in range(made, made - STEP, -CHUNK)))
            while time.perf_counter() < next_s or await self.waiting() > WAITING_MAX:
                await asyncio.sleep(0.05)
            if made * POINTS // self._jobs > len(self.points):
                await self.note(made)

    async def _enqueue(self, numbers: range) -> None:
        answers = await self._client.commands.job.enqueue_many(SYSTEM, [request(number) for number in numbers])
        taken = [answer.job.id for answer in answers if isinstance(answer, Enqueued)]
        assert len(taken) == len(numbers), answers
        unwanted = [job for number, job in zip(numbers, taken, strict=True) if is_cancelled(number)]
        await asyncio.gather(*(self._client.commands.job.cancel(SYSTEM, job) for job in unwanted))

    async def waiting(self) -> int:
        """Count the jobs in Redis that wait or run; too many where it does not answer in time on a busy machine."""
        try:
            counts = await self._client.broker.counts(QUEUES)
        except BrokerUnavailable:
            return WAITING_MAX + 1
        return sum(one.get(state, 0) for one in counts.values() for state in State)

    async def note(self, made: int) -> None:
        """Write down how large everything is."""
        standing = await self._client.store.retention.standing()
        figures = {
            "seconds": round(time.perf_counter() - self._began_s, 1),
            "load": round(os.getloadavg()[0], 2),
            **await sizes.of_redis(self._through),
            **await sizes.of_database(self._client.store._database, self._client.settings.database_url),
            **{f"{one.policy.kind}_removed": one.removed_total for one in standing if one.removed_total},
        }
        self.points[f"{made:,} jobs"] = figures
        self.tables[f"{made:,} jobs"] = await sizes.of_tables(self._client.store._database)
        log.info("flow.point", jobs=made, **figures)


async def run(*, jobs: int, database: str = "") -> dict[str, Any]:
    """Let so many jobs pass, in a new database of SQLite or in `database`, a new one as well.

    `growth`: the largest size in the last third of the way by that in the second; `is_level` where that of Redis and
    that of the database are at most `LEVEL`.
    """
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        bench = Bench(Path(name))
        bench.redis.start()
        try:
            settings = settings_of(bench)
            flow = await _pass(
                bench, settings.model_copy(update={"database_url": database or settings.database_url}), jobs
            )
        finally:
            bench.redis.stop()
    points = list(flow.points.values())
    sized = [name for name in points[-1] if name.endswith(("_bytes", "_rows", "_entries"))]
    growth = {name: growth_of([point[name] for point in points]) for name in sized}
    of_tables = list(flow.tables.values())
    growth |= {table: growth_of([one[table]["bytes"] for one in of_tables]) for table in of_tables[-1]}
    return {
        "jobs": jobs,
        "jobs_per_s": round(jobs / points[-1]["seconds"]),
        "is_level": max(growth["redis_bytes"], growth["database_bytes"]) <= LEVEL,
        "growth": growth,
        "tables": flow.tables,
        "timed": flow.points,
    }


async def _pass(bench: Bench, settings: Settings, jobs: int) -> Flow:
    await Migrator().migrate(settings.database_url)
    environ = environment(settings) | ENVIRON
    with bench.process("queueql", "services", jobs=0, **environ), bench.process("queueql", "worker", jobs=0, **environ):
        client = await opened(settings)
        try:
            for policy in POLICIES:
                await client.store.retention.set(policy, now_ms=client.clock())
            await until_working(client)
            async with redis.asyncio.Redis.from_url(settings.redis_url) as through:
                flow = Flow(client, through, jobs)
                await flow.feed()
        finally:
            await client.close()
    return flow


def growth_of(values: list[int]) -> float:
    """Divide the largest of the last third by the largest of the second."""
    third = len(values) // 3
    return round(max(values[-third:]) / max(1, *values[third:-third]), 3)
