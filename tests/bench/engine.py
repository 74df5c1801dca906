"""QueueQL beside bare SAQ in one run: throughput, CPU per job, and latency from enqueue to start.

Both get the same Redis (append-only file, everysec), the same no-op coroutine and one worker process
of the same concurrency. QueueQL's jobs are accepted into SQLite first, and its services record all
history meanwhile; SAQ keeps none.

Throughput: all jobs are enqueued, then the worker starts; from its first job to its last.
Latency: the worker is idle, one job at a time; from the call of enqueue to the first line of the job.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from saq.queue.redis import RedisQueue

from jobs.client import Client
from jobs.commands.request import EnqueueRequest
from jobs.job import FINAL, State
from jobs.settings import Settings, load
from jobs.store.migrate import Migrator
from jobs.viewer import SYSTEM
from jobs.where import JobWhere
from tests.redis_server import RedisServer

CONCURRENCY = 100
CHUNK = 1_000
SPACING_S = 0.01
DEADLINE_S = 300


class Bench:
    """One Redis, one folder, and the processes of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = RedisServer(folder, append_only=True)

    @contextmanager
    def process(self, *arguments: str, jobs: int = 0, **environ: str) -> Iterator[Path]:
        """Run a Python module beside the block; yields the file that its meter writes."""
        file = self.folder / f"measured-{time.monotonic_ns()}.json"
        environment = os.environ | environ | {"BENCH_JOBS": str(jobs), "BENCH_FILE": str(file)}
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", *arguments], env=environment, stdout=log, stderr=log)
        try:
            yield file
        finally:
            process.terminate()
            process.wait(60)

    def redis_cpu_s(self) -> float:
        """CPU seconds that Redis has used."""
        with redis.Redis.from_url(self.redis.url) as client:
            info: Any = client.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def measured(file: Path) -> dict[str, Any]:
    """Wait for what a meter writes."""
    async with asyncio.timeout(DEADLINE_S):
        while not await asyncio.to_thread(file.exists):
            await asyncio.sleep(0.01)
    answer: dict[str, Any] = json.loads(await asyncio.to_thread(file.read_text))
    return answer


def throughput(run: dict[str, Any], jobs: int, redis_cpu_s: float) -> dict[str, float]:
    """Put a drain into figures."""
    return {
        "jobs_per_s": round((jobs - 1) / run["seconds"], 1),
        "worker_cpu_us_per_job": round(run["cpu_seconds"] / jobs * 1e6, 1),
        "redis_cpu_us_per_job": round(redis_cpu_s / jobs * 1e6, 1),
    }


def latency(run: dict[str, Any]) -> dict[str, float]:
    """Put waits into figures; the first tenth is warm-up."""
    waits = sorted(run["waits_ms"][len(run["waits_ms"]) // 10 :])
    return {"p50_ms": round(statistics.median(waits), 2), "p99_ms": round(waits[int(len(waits) * 0.99)], 2)}


async def one_by_one(send: Callable[[float], Awaitable[Any]], count: int) -> None:
    """Send jobs to an idle worker."""
    for _ in range(count):
        await send(time.time())
        await asyncio.sleep(SPACING_S)


# SAQ


async def saq_drain(bench: Bench, jobs: int) -> dict[str, float]:
    """Enqueue, then drain with SAQ's worker."""
    queue = RedisQueue.from_url(bench.redis.url, name="bench")
    began = time.perf_counter()
    for _ in range(jobs // 20):
        await asyncio.gather(*(queue.enqueue("noop_saq", ttl=60) for _ in range(20)))
    enqueue_s = time.perf_counter() - began
    cpu = bench.redis_cpu_s()
    with bench.process("saq", "tests.bench.saq_settings.settings", jobs=jobs, BENCH_REDIS=bench.redis.url) as file:
        run = await measured(file)
        figures = throughput(run, jobs, bench.redis_cpu_s() - cpu)
    await queue.disconnect()
    return figures | {"enqueues_per_s": round(jobs / enqueue_s, 1)}


async def saq_latency(bench: Bench, jobs: int) -> dict[str, float]:
    """Enqueue one by one to SAQ's idle worker."""
    queue = RedisQueue.from_url(bench.redis.url, name="bench")
    with bench.process("saq", "tests.bench.saq_settings.settings", jobs=jobs, BENCH_REDIS=bench.redis.url) as file:
        await until_worker(queue)
        await one_by_one(lambda now: queue.enqueue("noop_saq", sent_s=now, ttl=60), jobs)
        figures = latency(await measured(file))
    await queue.disconnect()
    return figures


async def until_worker(queue: RedisQueue) -> None:
    """Wait until SAQ's worker has said that it is there."""
    async with asyncio.timeout(DEADLINE_S):
        while not (await queue.info())["workers"]:
            await asyncio.sleep(0.05)


# QueueQL


def settings_of(bench: Bench) -> Settings:
    """Make the settings that all processes of a run share."""
    return load(
        {},
        redis_url=bench.redis.url,
        database_url=f"sqlite:///{bench.folder / 'bench.db'}",
        data=bench.folder,
        concurrency=CONCURRENCY,
        tasks=("tests.bench.noop",),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Write settings as the variables that a child process reads."""
    return {
        "QUEUEQL_REDIS_URL": settings.redis_url,
        "QUEUEQL_DATABASE_URL": settings.database_url,
        "QUEUEQL_DATA": str(settings.data),
        "QUEUEQL_CONCURRENCY": str(settings.concurrency),
        "QUEUEQL_TASKS": ",".join(settings.tasks),
    }


async def queueql_run(bench: Bench, drain: int, single: int) -> dict[str, Any]:
    """Accept, drain with history on, then measure the latency."""
    settings = settings_of(bench)
    await Migrator().migrate(settings.database_url)
    environ = environment(settings)
    with bench.process("queueql", "services", **environ):
        client = await opened(settings)
        await until_published(bench, client, environ)
        began = time.perf_counter()
        for _ in range(drain // CHUNK):
            await client.commands.job.enqueue_many(SYSTEM, [EnqueueRequest(task="noop")] * CHUNK)
        enqueue_s = time.perf_counter() - began
        await until_pushed(client, drain)
        cpu = bench.redis_cpu_s()
        with bench.process("queueql", "worker", jobs=drain, **environ) as file:
            run = await measured(file)
            ended = time.perf_counter()
            figures = throughput(run, drain, bench.redis_cpu_s() - cpu)
            await until_recorded(client)
            lag_s = time.perf_counter() - ended
        with bench.process("queueql", "worker", jobs=single, **environ) as file:
            await until_working(client)
            await one_by_one(
                lambda now: client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop", args={"sent_s": now})),
                single,
            )
            waits = latency(await measured(file))
        await client.close()
    return figures | waits | {"enqueues_per_s": round(drain / enqueue_s, 1), "recorder_lag_s": round(lag_s, 2)}


async def opened(settings: Settings) -> Client:
    """Open a client once the services have prepared Redis."""
    client = await Client.open(settings)
    async with asyncio.timeout(DEADLINE_S):
        while not await client.broker.refresh_epoch():
            await asyncio.sleep(0.05)
    return client


async def until_published(bench: Bench, client: Client, environ: dict[str, str]) -> None:
    """Let a worker publish the task."""
    with bench.process("queueql", "worker", jobs=1, **environ):
        await until_working(client)


async def until_working(client: Client) -> None:
    """Wait for a worker that holds a lease and has published its tasks."""
    async with asyncio.timeout(DEADLINE_S):
        while not (await client.broker.workers() and await client.store.catalogue.tasks()):
            await asyncio.sleep(0.05)


async def until_pushed(client: Client, jobs: int) -> None:
    """Wait until Redis has all accepted jobs."""
    async with asyncio.timeout(DEADLINE_S):
        while (await client.broker.counts(["bench"]))["bench"].get(State.QUEUED, 0) < jobs:
            await asyncio.sleep(0.05)


async def until_recorded(client: Client) -> None:
    """Wait until history has the end of every job."""
    unfinished = JobWhere(states=tuple(state for state in State if state not in FINAL))
    async with asyncio.timeout(DEADLINE_S):
        while (await client.store.search.count(unfinished, 1)).value:
            await asyncio.sleep(0.02)


async def run(*, jobs: int = 50_000, saq_jobs: int = 5_000, single: int = 300) -> dict[str, Any]:
    """Measure both systems in one run; `ratio` is QueueQL's throughput over SAQ's."""
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        bench = Bench(Path(name))
        bench.redis.start()
        try:
            before = await saq_drain(bench, saq_jobs)
            bare = before | await saq_latency(bench, single)
            bench.redis.flush()
            ours = await queueql_run(bench, jobs, single)
            bench.redis.flush()
            after = await saq_drain(bench, saq_jobs)
        finally:
            bench.redis.stop()
    bare["jobs_per_s"] = round(statistics.mean([before["jobs_per_s"], after["jobs_per_s"]]), 1)
    return {
        "saq": bare,
        "queueql": ours,
        "ratio": round(ours["jobs_per_s"] / bare["jobs_per_s"], 2),
        "jobs": jobs,
        "saq_jobs": saq_jobs,
        "concurrency": CONCURRENCY,
    }
