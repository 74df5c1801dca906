"""Whether Redis and the database stop growing while jobs pass through the whole system, at full speed and for long.

One Redis, one SQLite database, the services and a worker as processes of their own. Completed jobs are kept for a
minute, the least there is, and the cleaner looks every minute; the replay window is ten seconds. No more than a few
thousand jobs wait at any time. The figures are taken at 20 points of the way: what is kept is what one to three
minutes brought, so both have to level off.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import redis.asyncio

from jobs.client import Client
from jobs.commands.request import EnqueueRequest
from jobs.job import State
from jobs.retention import EVERY_MIN_S, Kind, Policy
from jobs.store.config import sqlite_path
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM
from tests.bench.engine import CHUNK, Bench, environment, opened, settings_of, until_recorded, until_working

POINTS = 20
WAITING_MAX = 4_000
REPLAY_WINDOW_S = "10"


async def _figures(client: Client, through: redis.asyncio.Redis, began_s: float) -> dict[str, Any]:
    path = sqlite_path(client.settings.database_url)
    assert path
    memory: Any = await through.info("memory")
    (jobs,) = await client.store._database.fetch("SELECT count(*) AS n FROM job")
    (policy,) = [one for one in await client.store.retention.standing() if one.policy.kind is Kind.COMPLETED]
    return {
        "seconds": round(time.perf_counter() - began_s, 1),
        "redis_bytes": memory["used_memory"],
        "database_bytes": sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")),
        "jobs_in_the_database": jobs["n"],
        "removed": policy.removed_total,
    }


async def _feed(client: Client, jobs: int) -> dict[str, Any]:
    began_s = time.perf_counter()
    points: dict[str, Any] = {}
    async with redis.asyncio.Redis.from_url(client.settings.redis_url) as through:
        for made in range(CHUNK, jobs + 1, CHUNK):
            await client.commands.job.enqueue_many(SYSTEM, [EnqueueRequest(task="noop", tags=("flow",))] * CHUNK)
            while (await client.broker.counts(["bench"]))["bench"].get(State.QUEUED, 0) > WAITING_MAX:
                await asyncio.sleep(0.05)
            if made * POINTS // jobs > len(points):
                points[f"{made:,} jobs"] = await _figures(client, through, began_s)
    return points


async def run(*, jobs: int) -> dict[str, Any]:
    """Let so many jobs pass; `growth_second_half` is the size at the end by that in the middle."""
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        bench = Bench(Path(name))
        bench.redis.start()
        try:
            settings = settings_of(bench)
            await Migrator().migrate(settings.database_url)
            environ = environment(settings) | {"QUEUEQL_REPLAY_WINDOW_S": REPLAY_WINDOW_S}
            with (
                bench.process("queueql", "services", jobs=0, **environ),
                bench.process("queueql", "worker", jobs=0, **environ),
            ):
                client = await opened(settings)
                try:
                    policy = Policy(kind=Kind.COMPLETED, keep_s=0, every_s=EVERY_MIN_S)
                    await client.store.retention.set(policy, now_ms=client.clock())
                    await until_working(client)
                    points = await _feed(client, jobs)
                    await until_recorded(client)
                finally:
                    await client.close()
        finally:
            bench.redis.stop()
    middle, last = list(points.values())[POINTS // 2 - 1], list(points.values())[-1]
    return {
        "jobs": jobs,
        "jobs_per_s": round(jobs / last["seconds"]),
        "redis_growth_second_half": round(last["redis_bytes"] / middle["redis_bytes"], 3),
        "database_growth_second_half": round(last["database_bytes"] / middle["database_bytes"], 3),
        "timed": points,
    }
