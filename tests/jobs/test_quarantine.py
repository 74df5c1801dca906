"""Records on their way that cannot be read: nothing stops, subscribers hear of a gap, and admins can look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import redis.asyncio

from jobs.broker import Broker, keys
from jobs.client import Client
from jobs.commands.request import EnqueueRequest
from jobs.errors import Forbidden, NotFound
from jobs.feed import EventSubscription, GapReason
from jobs.job import State
from jobs.page import PageRequest
from jobs.quarantine import Quarantined, Source
from tests.factories import make_worker_info
from tests.jobs.commands.requests import ADMIN, OPERATOR, READER
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.wait import eventually

FUTURE = msgspec.msgpack.encode([1, [["folded", "a-job", 7, 8, "of a newer version"]]])


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


@pytest.fixture
def interject(client: Client, redis_client: redis.asyncio.Redis) -> Callable[..., Awaitable[None]]:
    """Writes an entry into the stream that cannot be read."""

    async def interject(payload: bytes = FUTURE) -> None:
        await redis_client.xadd(keys.EVENTS, {"e": payload})

    return interject


async def enqueue(client: Client) -> str:
    return (await client.commands.job.enqueue(OPERATOR, EnqueueRequest(task="noop"))).job.id


async def records(client: Client) -> list[Quarantined]:
    return (await client.queries.quarantine.page(ADMIN, PageRequest())).items


async def next_gap(subscription: EventSubscription) -> GapReason:
    async with asyncio.timeout(10):
        while True:
            batch = await anext(subscription)
            if batch.gap:
                return batch.gap.reason


async def next_event(subscription: EventSubscription) -> Any:
    async with asyncio.timeout(10):
        while not (batch := await anext(subscription)).events:
            pass
        return batch.events[0][1]


async def test_the_recorder_goes_past_what_it_cannot_read(
    client: Client, hand: Hand, interject: Callable[..., Awaitable[None]]
) -> None:
    job_id = await enqueue(client)
    await interject()
    await hand.complete()
    await interject(b"\xc1")
    await hand.record()
    job = await client.store.search.job(job_id)
    assert job
    assert job.state is State.COMPLETED
    assert await client.store.history.position() == await client.broker.stream.last()
    found = await records(client)
    assert [record.source for record in found] == [Source.EVENT] * 2
    assert "of a newer version" in found[1].record
    parts = {part.component: part for part in await client.health()}
    assert "2 records could not be read" in parts["quarantine"].detail
    assert parts["quarantine"].ok


async def test_what_the_broker_sets_aside_is_in_quarantine_too(
    client: Client, hand: Hand, redis_client: redis.asyncio.Redis
) -> None:
    job_id = await enqueue(client)
    await eventually(lambda: redis_client.exists(keys.job(job_id)))
    await redis_client.hset(keys.job(job_id), "r", "many")
    await client.broker.cancel([job_id])
    await hand.record()
    (record,) = await records(client)
    assert (record.source, record.ref) == (Source.BROKER, job_id)
    assert '"r"' in record.reason


async def test_subscribers_hear_of_a_gap_and_go_on(client: Client, interject: Callable[..., Awaitable[None]]) -> None:
    await client.feed.hub.reached()
    subscription = client.feed.job_events(READER)
    await interject()
    assert await next_gap(subscription) is GapReason.UNREADABLE
    job_id = await enqueue(client)
    assert (await next_event(subscription)).job == job_id
    await subscription.aclose()


async def test_who_comes_back_hears_of_it_too(client: Client, interject: Callable[..., Awaitable[None]]) -> None:
    await enqueue(client)
    await client.pusher.stop()
    cursor = str(await client.broker.stream.first())
    await interject()
    subscription = client.feed.job_events(READER, after=cursor)
    assert await next_gap(subscription) is GapReason.UNREADABLE
    await subscription.aclose()


async def test_a_reader_that_was_overtaken_by_trimming_says_so(
    client: Client, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(client)
    await client.feed.hub.reached()
    subscription = client.feed.job_events(READER)
    begun, free, scan = asyncio.Event(), asyncio.Event(), client.broker.stream.scan

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        await free.wait()
        return await scan(*args, **kwargs)

    monkeypatch.setattr(client.broker.stream, "scan", slowly)
    await enqueue(client)  # ends the reading that is under way
    await asyncio.wait_for(begun.wait(), 10)
    for _ in range(3):
        await enqueue(client)
    await client.pusher.stop()
    last = await client.broker.stream.last()
    await redis_client.xtrim(keys.EVENTS, minid=last.entry, approximate=False)
    free.set()
    assert await next_gap(subscription) is GapReason.TRIMMED
    await subscription.aclose()


async def test_a_worker_whose_description_cannot_be_read_is_listed_without_it(
    client: Client, redis_client: redis.asyncio.Redis
) -> None:
    broken, sound = [await client.broker.open_session(make_worker_info()) for _ in range(2)]
    for field, value in {"info": "{", "vitals": '{"state":"DREAMING"}', "wish": "[]", "seen": "x"}.items():
        await redis_client.hset(keys.session(broken.id), field, value)
    found = {worker.id: worker for worker in await client.broker.workers()}
    assert (found[broken.id].info.host, found[broken.id].vitals, found[broken.id].seen_ms) == ("unknown", None, 0)
    assert found[sound.id].info.host == "test"
    page = await client.queries.worker.page(READER, PageRequest())
    assert {worker.id for worker in page.items} == {broken.id, sound.id}
    for session in (broken, sound):
        await session.close()


async def test_a_job_is_shown_although_redis_holds_nonsense_of_it(
    client: Client, redis_client: redis.asyncio.Redis
) -> None:
    job_ids = [await enqueue(client) for _ in range(3)]
    broker: Broker = client.broker

    async def all_there() -> bool:
        return len(await broker.jobs(job_ids)) == 3

    await eventually(all_there)
    await redis_client.hset(keys.job(job_ids[0]), mapping={"pr": "{", "z": "{", "e": "{"})
    await redis_client.hset(keys.job(job_ids[1]), "b", "{")
    await redis_client.hset(keys.job(job_ids[2]), "s", "DREAMING")
    assert set(await broker.jobs(job_ids)) == {job_ids[0]}
    found = await client.queries.job.get_many(READER, job_ids)
    assert {job.state for job in found.values()} == {State.QUEUED}
    assert len(found) == 3


async def test_only_admins_look_and_remove(
    client: Client, hand: Hand, interject: Callable[..., Awaitable[None]]
) -> None:
    await interject()
    await hand.record()
    (record,) = await records(client)
    for viewer in (READER, OPERATOR):
        with pytest.raises(Forbidden):
            await client.queries.quarantine.page(viewer, PageRequest())
        with pytest.raises(Forbidden):
            await client.commands.quarantine.remove(viewer, str(record.id))
    await client.commands.quarantine.remove(ADMIN, str(record.id))
    assert await records(client) == []
    with pytest.raises(NotFound):
        await client.commands.quarantine.remove(ADMIN, str(record.id))
