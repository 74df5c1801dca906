"""A Redis without room, as callers of the API meet it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from jobs.client import Client
from jobs.job import Durability
from jobs.task import Registry, task
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue

fleeting_only = Registry()


@task(registry=fleeting_only, durability=Durability.MEMORY)
async def fleeting() -> None:
    pass


@pytest.fixture
async def _full(published: Client, redis_client: redis.asyncio.Redis) -> AsyncIterator[None]:
    await published.commands.task.publish(fleeting_only.definitions())
    used = (await redis_client.info("memory"))["used_memory"]
    await redis_client.config_set("maxmemory", str(int(used / 0.9)))
    published.broker.room._memory = None
    yield
    await redis_client.config_set("maxmemory", "0")


@pytest.mark.usefixtures("_full")
async def test_a_memory_job_is_refused_as_data_and_a_store_job_is_taken(api: Caller, anonymous: Caller) -> None:
    (error,) = (await enqueue(api, "fleeting"))["userErrors"]
    assert (error["__typename"], error["code"]) == ("QueueFullError", "QUEUE_FULL")
    assert "full" in error["message"]
    taken = await enqueue(api)
    assert (taken["userErrors"], bool(taken["job"])) == ([], True)
    answer = await anonymous.request("GET", "/readyz")
    assert answer.json["components"]["broker"]["ok"]
    assert "jobs are taken in again below 80%" in answer.json["components"]["broker"]["detail"]
