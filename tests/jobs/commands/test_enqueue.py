"""What enqueue accepts."""

from __future__ import annotations

import msgspec
import pytest

from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import Enqueued, EnqueueRequest, pusher
from jobs.errors import BrokerUnavailable, InvalidArguments, InvalidOption, UnknownTask
from jobs.job import Backoff, Durability, Priority, State
from tests.jobs.commands.requests import HOUR_MS, OPERATOR, READER, all_jobs, enqueue, lasting
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import until


async def test_an_accepted_job_is_complete_without_another_read(client: Client, hand: Hand) -> None:
    answer = await enqueue(
        client,
        "send_mail",
        args={"to": "a@b.c", "colour": "blue"},
        priority=Priority.HIGH,
        owner="u17",
        tags=("tenant=42", "x", "x"),
        metadata={"trace": 1},
        key="once",
        backoff=Backoff(base_s=2, jitter=0),
    )
    assert not answer.duplicate
    assert answer.job.state is State.QUEUED
    assert answer.job.queue == "email"
    assert answer.job.max_attempts == 5
    assert answer.job.timeout_s == 30
    assert answer.job.tags == ("tenant=42", "x")
    await until(lambda: not client.pusher.waiting)
    found = await client.queries.job.get(READER, answer.job.id)
    assert found is not None
    assert lasting(found) == lasting(answer.job)
    await hand.record()
    stored = await client.store.search.job(answer.job.id)
    assert stored is not None
    assert lasting(stored) == lasting(answer.job)


async def test_a_job_of_later_is_scheduled(client: Client) -> None:
    later = now_ms() + HOUR_MS
    job = (await enqueue(client, scheduled_ms=later)).job
    assert (job.state, job.scheduled_ms) == (State.SCHEDULED, later)
    await until(lambda: client.pusher.pushed)
    found = await client.queries.job.get(READER, job.id)
    assert found is not None
    assert lasting(found) == lasting(job)


async def test_a_delay_begins_when_the_job_is_accepted(client: Client) -> None:
    job = (await enqueue(client, delay_s=90.5)).job
    assert (job.state, job.scheduled_ms) == (State.SCHEDULED, job.created_ms + 90_500)
    assert (await enqueue(client, delay_s=0)).job.state is State.QUEUED


async def test_a_time_that_has_just_passed_means_at_once(client: Client) -> None:
    assert (await enqueue(client, scheduled_ms=now_ms() - 30_000)).job.state is State.QUEUED


async def test_good_arguments_are_taken_as_they_are(client: Client) -> None:
    args = {
        "to": "\U0001f600 null \\u0000",
        "factor": 1,
        "cc": None,
        "copies": 2**53,
        "at": "2026-01-31T12:00:00+01:00",
    }
    job = (await enqueue(client, "send_mail", args=args)).job
    stored = await client.store.search.job(job.id)
    assert stored is not None
    assert stored.args == args | {"colour": "red"}  # its default


async def test_a_newer_signature_holds_as_soon_as_it_is_published(client: Client) -> None:
    (mail,) = [one for one in registry.definitions() if one.name == "send_mail"]
    await enqueue(client, "send_mail", args={"to": "a"})
    schema = {"type": "object", "properties": {"to": {"type": "integer"}}, "additionalProperties": False}
    await client.commands.task.publish([msgspec.structs.replace(mail, args_schema=schema)])
    with pytest.raises(InvalidArguments):
        await enqueue(client, "send_mail", args={"to": "a"})
    assert (await enqueue(client, "send_mail", args={"to": 1})).job.args == {"to": 1}


async def test_many_are_judged_one_by_one(client: Client) -> None:
    requests = [
        EnqueueRequest(task="noop", key="k"),
        EnqueueRequest(task="nope"),
        EnqueueRequest(task="noop", key="k"),
        EnqueueRequest(task="fleeting", args={"number": 1}),
        EnqueueRequest(task="noop", queue="a:b"),
        EnqueueRequest(task="noop", args={"x": 1}),
    ]
    first, unknown, second, memory, queue, args = await client.commands.job.enqueue_many(OPERATOR, requests)
    assert isinstance(first, Enqueued)
    assert isinstance(second, Enqueued)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.job.id == first.job.id
    assert isinstance(memory, Enqueued)
    assert memory.job.durability is Durability.MEMORY
    assert [type(fault) for fault in (unknown, queue, args)] == [UnknownTask, InvalidOption, InvalidArguments]
    assert [job.id for job in await all_jobs(client)] == [first.job.id]


async def test_a_thousand_in_one_call_and_no_more(client: Client) -> None:
    requests = [EnqueueRequest(task="noop") for _ in range(1_001)]
    with pytest.raises(InvalidOption, match="1,000"):
        await client.commands.job.enqueue_many(OPERATOR, requests)
    answers = await client.commands.job.enqueue_many(OPERATOR, requests[:1_000])
    assert len({answer.job.id for answer in answers if isinstance(answer, Enqueued)}) == 1_000
    await until(lambda: client.pusher.pushed == 1_000)
    assert (await client.broker.counts(["default"]))["default"][State.QUEUED] == 1_000


async def test_a_job_is_accepted_while_redis_is_away(
    client: Client, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "AGE_MAX_S", 0.1)
    redis_server.kill()
    try:
        job = (await enqueue(client, key="k")).job
        assert (await enqueue(client, key="k")).job.id == job.id  # who cannot be asked counts as alive
        found = await client.queries.job.get(READER, job.id)
        assert found is not None
        assert found.state is State.QUEUED
        assert (await client.commands.job.cancel(OPERATOR, job.id)).cancel_requested
        with pytest.raises(BrokerUnavailable):
            await enqueue(client, "fleeting")
        await until(lambda: client.pusher.left)
        assert [one.ok for one in await client.health() if one.component == "broker"] == [False]
    finally:
        redis_server.start()


async def test_a_memory_job_is_known_to_the_broker_only(client: Client, hand: Hand) -> None:
    job = (await enqueue(client, "fleeting", args={"number": 7})).job
    assert await all_jobs(client) == []
    found = await client.queries.job.get(READER, job.id)
    assert found is not None
    assert lasting(found) == lasting(job)
    await hand.complete()
    await hand.record()
    assert [one.state for one in await all_jobs(client)] == [State.COMPLETED]


async def test_a_memory_job_whose_push_came_too_late_is_not_said_to_be_accepted(client: Client) -> None:
    """Redis was lost while it was on its way; another epoch has begun by now."""
    await client.broker.client.set("{qq}:began", await client.broker.now_ms() + 60_000)
    with pytest.raises(BrokerUnavailable, match="please repeat"):
        await enqueue(client, "fleeting", args={"number": 7})
    assert await client.broker.ids() == (0, [])
