"""Large arguments stay in the store: everybody sees them, and the worker fetches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
import saq.worker

from jobs.broker import Push, lean
from jobs.client import Client
from jobs.errors import StoreUnavailable
from jobs.job import Durability, Job, State
from jobs.page import PageRequest
from jobs.saq import Queue, Worker
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from jobs.services.scheduler import Scheduler
from jobs.where import JobWhere
from jobs.worker import Engine, Payloads, payloads
from tests.factories import make_settings, make_spec
from tests.jobs.commands.requests import OPERATOR, READER
from tests.jobs.hand import Hand
from tests.jobs.large import TEXT, Shelf, enqueue, first_line, get, in_redis, reach, registry
from tests.wait import eventually


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


@pytest.fixture
async def recorded(client: Client) -> AsyncIterator[None]:
    """History and due jobs are looked after."""
    loops = [Recorder(client.store, client.broker), Scheduler(client.broker)]
    for loop in loops:
        loop.start()
    yield
    for loop in loops:
        await loop.stop()


@pytest.fixture
async def work(client: Client) -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
    """Starts workers; without anything said, they have the store."""
    engines: list[Engine] = []

    async def work(payloads: Payloads | None = None) -> Engine:
        settings = make_settings(renew_s=0.1, grace_s=1.0, concurrency=10)
        engine = Engine(client.broker, registry, settings, payloads=payloads or Payloads(client.store.search.args))
        engines.append(engine)
        await engine.start()
        return engine

    yield work
    for engine in engines:
        await engine.stop()


def test_what_is_small_or_has_no_other_home_travels_with_the_job() -> None:
    for spec in (make_spec(args={"text": "x" * 16_000}), make_spec(args={"text": TEXT}, durability=Durability.MEMORY)):
        assert lean(spec) is spec
    large = make_spec(args={"text": TEXT})
    assert lean(large).payload_bytes == len(bytes(large.args))
    assert lean(lean(large)) == lean(large)


@pytest.mark.usefixtures("recorded")
async def test_the_worker_has_the_arguments_and_redis_has_not(
    client: Client, work: Callable[..., Awaitable[Engine]], redis_client: redis.asyncio.Redis
) -> None:
    ids = [(await enqueue(client, text=f"{number} {TEXT}")).id for number in range(20)]
    again, thread = await enqueue(client, text=f"again{TEXT}"), await enqueue(client, "digest_in_thread")
    apart = await enqueue(client, "digest_apart")
    assert max([await in_redis(redis_client, job_id) for job_id in [*ids, again.id, thread.id]]) < 1_000
    await work()
    for job_id in ids:
        assert (await reach(client, job_id, State.COMPLETED)).result in (
            [len(TEXT) + 2] * 3 + [0],
            [len(TEXT) + 3] * 3 + [0],
        )
    assert (await reach(client, again.id, State.COMPLETED)).attempts == 2
    assert (await reach(client, thread.id, State.COMPLETED)).result == len(TEXT)
    assert (await reach(client, apart.id, State.COMPLETED)).result == len(TEXT)


async def test_a_memory_job_keeps_its_arguments_in_redis(
    client: Client, work: Callable[..., Awaitable[Engine]], redis_client: redis.asyncio.Redis
) -> None:
    job = await enqueue(client, "fleeting")
    assert await in_redis(redis_client, job.id) > len(TEXT)
    await work(Payloads())
    assert (await reach(client, job.id, State.COMPLETED)).result == len(TEXT)


async def test_everybody_sees_the_arguments_wherever_the_job_is(client: Client, hand: Hand) -> None:
    job = await enqueue(client)
    assert job.args == {"text": TEXT}
    reserved = await hand.start()
    assert reserved.spec.payload_bytes > len(TEXT)
    live = await get(client, job.id)
    assert (live.state, live.args, live.payload_bytes) == (State.ACTIVE, {"text": TEXT}, 0)
    await hand.record()
    assert (await get(client, job.id)).args == {"text": TEXT}
    page = await client.queries.job.page(READER, JobWhere(), PageRequest())
    assert [item.args for item in page.items] == [{"text": TEXT}]
    subscription = client.feed.job(READER, job.id)
    assert (await anext(subscription)).args == {"text": TEXT}
    await subscription.aclose()


async def test_while_the_store_is_away_nothing_is_made_up(
    client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = await enqueue(client), await enqueue(client, text="small")
    await hand.start()
    await hand.start()

    async def away(ids: object) -> dict[str, Job]:
        raise StoreUnavailable("The database does not answer.")

    monkeypatch.setattr(client.store.search, "jobs_by_id", away)
    assert (await get(client, small.id)).args == {"text": "small"}
    with pytest.raises(StoreUnavailable):
        await get(client, large.id)


async def test_a_retry_and_a_push_after_a_loss_keep_the_arguments(
    client: Client, hand: Hand, work: Callable[..., Awaitable[Engine]], redis_client: redis.asyncio.Redis
) -> None:
    job = await enqueue(client)
    await hand.kill()
    await hand.record()
    retried = await client.commands.job.retry(OPERATOR, job.id)
    assert retried.args == {"text": TEXT}
    assert await in_redis(redis_client, job.id) < 1_000
    other = await enqueue(client)
    await in_redis(redis_client, other.id)
    await hand.record()
    await redis_client.flushall()
    await Reconciler(client.store, client.broker).turn()
    assert await in_redis(redis_client, other.id) < 1_000
    await work()
    assert (await reach(client, job.id, State.COMPLETED)).result[0] == len(TEXT)
    assert (await reach(client, other.id, State.COMPLETED)).recoveries == 1


async def test_a_job_that_never_reached_redis_is_cancelled_with_its_arguments(client: Client) -> None:
    spec = make_spec("digest", args={"text": TEXT})
    await client.store.accept.accept(spec)
    job = await client.commands.job.cancel(OPERATOR, spec.id)
    assert (job.state, job.args) == (State.CANCELLED, {"text": TEXT})


# The store away


@pytest.mark.usefixtures("recorded")
async def test_an_attempt_waits_for_the_store_and_then_the_job_does(
    client: Client, work: Callable[..., Awaitable[Engine]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "WAIT_S", 0.3)
    monkeypatch.setattr(payloads, "RETRY_S", 0.05)
    monkeypatch.setattr(payloads, "LATER_MS", 100)
    shelf = Shelf(client)
    job = await enqueue(client, max_attempts=1, timeout_s=0.2)
    await work(Payloads(shelf.read))
    await reach(client, job.id, State.SCHEDULED)
    assert shelf.asked > 3
    shelf.away = False
    done = await reach(client, job.id, State.COMPLETED, State.DEAD)
    assert done.result[0] == len(TEXT)
    assert "could not be fetched" in await first_line(client, job.id)


@pytest.mark.usefixtures("recorded")
async def test_a_job_waits_for_a_worker_that_has_the_database(
    client: Client, work: Callable[..., Awaitable[Engine]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "NO_STORE_MS", 100)
    without = await work(Payloads())
    job = await enqueue(client, max_attempts=1)
    await reach(client, job.id, State.SCHEDULED)
    await work()
    await without.stop()
    assert (await reach(client, job.id, State.COMPLETED, State.DEAD)).result[0] == len(TEXT)
    assert "QUEUEQL_DATABASE_URL" in await first_line(client, job.id)


async def test_a_job_whose_arguments_are_gone_ends_and_says_so(
    client: Client, work: Callable[..., Awaitable[Engine]]
) -> None:
    spec = make_spec("digest", args={"text": TEXT})
    await client.broker.push([Push(spec=spec)])
    await work()

    async def dead() -> Job | None:
        job = (await client.broker.jobs([spec.id]))[spec.id]
        return job if job.state is State.DEAD else None

    job = await eventually(dead)
    assert job.error
    assert (job.error.type, job.attempts) == ("PAYLOAD_GONE", 1)


@pytest.mark.usefixtures("recorded")
async def test_a_job_that_waits_for_the_store_can_be_cancelled(
    client: Client, work: Callable[..., Awaitable[Engine]]
) -> None:
    jobs = [await enqueue(client), await enqueue(client, "digest_in_thread")]
    await work(Payloads(Shelf(client).read))
    for job in jobs:
        await reach(client, job.id, State.ACTIVE)
        await client.commands.job.cancel(OPERATOR, job.id)
    async with asyncio.timeout(2):
        for job in jobs:
            await reach(client, job.id, State.CANCELLED)


# SAQ


def settings_of(client: Client, **more: Any) -> Any:
    return client.settings.model_copy(update={"renew_s": 0.1} | more)


async def length(ctx: Any, text: str) -> int:
    return len(text) + len(ctx["job"].kwargs["text"])


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("kind", [Worker, saq.worker.Worker])
async def test_both_workers_of_saq_have_the_arguments_where_the_settings_name_the_database(
    client: Client, kind: Any
) -> None:
    job = await enqueue(client)
    queue = Queue.from_url(client.settings.redis_url, settings=settings_of(client))
    worker = kind(queue, functions=[("digest", length)], concurrency=2)
    working = asyncio.create_task(worker.start())
    assert (await reach(client, job.id, State.COMPLETED, State.DEAD)).result == 2 * len(TEXT)
    await worker.stop()
    await asyncio.wait([working], timeout=10)
    await queue.disconnect()


@pytest.mark.usefixtures("recorded")
async def test_saqs_own_worker_leaves_the_job_to_others_where_there_is_no_database(client: Client) -> None:
    job, small = await enqueue(client), await enqueue(client, text="x")
    queue = Queue.from_url(client.settings.redis_url, settings=settings_of(client, database_url=""))
    worker = saq.worker.Worker(queue, functions=[("digest", length)], concurrency=1)  # type: ignore[var-annotated]  # as users write it
    working = asyncio.create_task(worker.start())
    assert (await reach(client, small.id, State.COMPLETED)).result == 2
    assert (await reach(client, job.id, State.SCHEDULED)).attempts == 1
    await worker.stop()
    await asyncio.wait([working], timeout=10)
    await queue.disconnect()
