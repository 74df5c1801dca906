"""Tasks with large arguments, and what becomes of their jobs."""

from __future__ import annotations

from typing import Any

import redis.asyncio

from jobs.broker import keys
from jobs.client import Client
from jobs.commands.request import EnqueueRequest
from jobs.context import Context
from jobs.errors import StoreUnavailable
from jobs.job import Durability, Job, LogLine, State
from jobs.page import PageRequest
from jobs.retry import Retry
from jobs.task import Registry, task
from tests.jobs.commands.requests import OPERATOR, READER
from tests.wait import eventually

TEXT = "é" * 50_000
registry = Registry()


@task(registry=registry, max_attempts=3)
async def digest(ctx: Context, text: str) -> list[Any]:
    if ctx.attempt == 1 and text.startswith("again"):
        raise Retry(0)
    return [len(text), len(ctx.args["text"]), len(ctx["job"].kwargs["text"]), ctx.spec.payload_bytes]


@task(registry=registry)
def digest_in_thread(text: str) -> int:
    return len(text)


@task(registry=registry, isolation="process")
def digest_apart(text: str) -> int:
    return len(text)


@task(registry=registry, durability=Durability.MEMORY)
async def fleeting(text: str) -> int:
    return len(text)


async def enqueue(client: Client, name: str = "digest", text: str = TEXT, **fields: Any) -> Job:
    return (await client.commands.job.enqueue(OPERATOR, EnqueueRequest(task=name, args={"text": text}, **fields))).job


async def get(client: Client, job_id: str) -> Job:
    job = await client.queries.job.get(READER, job_id)
    assert job
    return job


async def reach(client: Client, job_id: str, *states: State) -> Job:
    async def there() -> Job | None:
        job = await get(client, job_id)
        return job if job.state in states else None

    return await eventually(there, within_s=15)


async def in_redis(redis_client: redis.asyncio.Redis, job_id: str) -> int:
    return len(await eventually(lambda: redis_client.hget(keys.job(job_id), "b")))


async def first_line(client: Client, job_id: str) -> str:
    async def lines() -> list[LogLine]:
        return (await client.queries.job.logs(READER, job_id, PageRequest())).items

    return (await eventually(lines))[0].message


class Shelf:
    """A store that may be away."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.away = True
        self.asked = 0

    async def read(self, job_id: str) -> bytes | None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("The database does not answer.")
        return await self._client.store.search.args(job_id)
