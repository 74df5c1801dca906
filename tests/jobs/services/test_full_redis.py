"""A Redis that is too small: MEMORY jobs are refused, STORE jobs wait in the store, and all of them end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import Enqueued
from jobs.commands.request import EnqueueRequest
from jobs.errors import QueueFull
from jobs.services import Services, reconciler
from jobs.services.reconciler import Reconciler
from jobs.task import Registry, task
from jobs.worker import Engine
from tests.jobs.commands.requests import OPERATOR
from tests.jobs.services.conftest import limit
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import eventually, until

OpenClient = Callable[..., Awaitable[Client]]

digesting = Registry()


@task(registry=digesting)
async def digest(text: str) -> int:
    return len(text)


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
async def client(open_client: OpenClient, small_redis: RedisServer) -> Client:
    client = await open_client(redis_url=small_redis.url)
    await client.commands.task.publish([*registry.definitions(), *digesting.definitions()])
    return client


async def nearly_full(client: Client, server: RedisServer) -> None:
    limit(server, str(int((await client.broker.client.info("memory"))["used_memory"] / 0.9)))
    client.broker.room._memory = None


async def enqueue(client: Client, *tasks: str) -> list[object]:
    requests = [EnqueueRequest(task=name) for name in tasks]
    answers = await client.commands.job.enqueue_many(OPERATOR, requests)
    return [answer.job.id if isinstance(answer, Enqueued) else answer for answer in answers]


async def test_memory_jobs_are_refused_and_store_jobs_wait_for_room(client: Client, small_redis: RedisServer) -> None:
    await nearly_full(client, small_redis)
    with pytest.raises(QueueFull, match="full"):
        await client.commands.job.enqueue(OPERATOR, EnqueueRequest(task="fleeting"))
    refused, kept = await enqueue(client, "fleeting", "noop")
    assert isinstance(refused, QueueFull)
    await until(lambda: client.pusher.left == 1)
    waiting = Reconciler(client.store, client.broker, clock=lambda: now_ms() + 60_000)
    with capture_logs() as logs:
        waiting.start()
        await until(lambda: "wait for room" in waiting.health().detail)
        assert waiting.health().ok
        for _ in range(3):
            await waiting.turn()
        limit(small_redis, "0")
        await eventually(lambda: client.broker.jobs([str(kept)]))
        await until(lambda: "wait for room" not in waiting.health().detail)
    await waiting.stop()
    said = [line["event"] for line in logs if line["event"].startswith("reconciler.")]
    assert said.count("reconciler.waits_for_room") == said.count("reconciler.has_room") == 1
    assert not any(line["event"] == "loop.fault" for line in logs)


async def test_a_part_of_many_memory_jobs_is_in(client: Client, small_redis: RedisServer) -> None:
    """Whoever is told that a job was refused never sees it run."""
    used = (await client.broker.client.info("memory"))["used_memory"]
    limit(small_redis, str(int(used / 0.72)))
    client.broker.room._memory = None
    answers = await enqueue(client, *["fleeting"] * 1_000)
    taken = [answer for answer in answers if isinstance(answer, str)]
    assert set(taken) == set((await client.broker.ids(limit=5_000))[1])
    assert 0 < len(taken) < 1_000


async def test_thousands_of_jobs_go_through_a_redis_that_is_too_small(
    client: Client, small_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "UNPUSHED_AGE_MS", 200)
    monkeypatch.setattr(reconciler, "UNPUSHED_EVERY_S", 0.2)
    jobs = 3_000
    for _ in range(jobs // 1_000):
        requests = [EnqueueRequest(task="digest", args={"text": "x" * 3_000}) for _ in range(1_000)]
        answers = await client.commands.job.enqueue_many(OPERATOR, requests)
        assert all(isinstance(answer, Enqueued) for answer in answers)
    await until(lambda: not client.pusher.waiting)
    assert client.pusher.left > jobs / 2
    services = Services(client.store, client.broker, client.settings)
    engine = Engine(client.broker, digesting, client.settings)
    shares: list[float] = []
    with capture_logs() as logs:
        services.start()
        await engine.start()
        async with asyncio.timeout(60):
            while await completed(client) < jobs:
                shares.append(await share(client.broker.client))
                await asyncio.sleep(0.1)
        await engine.stop()
        await services.stop()
    assert max(shares) < 1.0
    assert [line for line in logs if line["log_level"] == "error"] == []


async def completed(client: Client) -> int:
    (row,) = await client.store._database.fetch("SELECT count(*) AS number FROM job WHERE state = $1", ("COMPLETED",))
    return int(row["number"])


async def share(connection: redis.asyncio.Redis) -> float:
    memory = await connection.info("memory")
    return float(memory["used_memory"] / memory["maxmemory"])
