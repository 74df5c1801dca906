"""Cancelling a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from jobs.client import Client
from jobs.errors import BrokerUnavailable, InvalidState, NotFound
from jobs.job import State
from tests.jobs.commands.requests import OPERATOR, READER, all_jobs, enqueue, lasting
from tests.jobs.hand import Hand
from tests.tcp_proxy import TcpProxy
from tests.wait import until


async def test_a_job_that_redis_alone_knows_cannot_be_cancelled_while_redis_is_empty(client: Client) -> None:
    job = (await enqueue(client, "fleeting")).job
    await client.broker.client.flushall()
    with pytest.raises(BrokerUnavailable, match="compared with the store"):
        await client.commands.job.cancel(OPERATOR, job.id)


async def test_a_job_that_is_cancelled_before_it_reaches_redis_never_waits_there(
    open_client: Callable[..., Awaitable[Client]], redis_url: str, client: Client, hand: Hand
) -> None:
    with TcpProxy(redis_url) as proxy:
        far = await open_client(redis_url=proxy.url)
        proxy.refuse()
        job, other = (await enqueue(far)).job, (await enqueue(far)).job
        asked = await far.commands.job.cancel(OPERATOR, job.id)
        assert (asked.state, asked.cancel_requested) == (State.QUEUED, True)
        proxy.release()
        await until(lambda: far.pusher.pushed == 2)
        assert await client.broker.counts(["default"]) == {"default": {State.QUEUED: 1}}
        assert await hand.complete() == other.id
        await hand.record()
        ended = {one.id: one.state for one in await all_jobs(client)}
        assert ended == {job.id: State.CANCELLED, other.id: State.COMPLETED}


async def test_a_waiting_job_is_cancelled_at_once_and_once(client: Client) -> None:
    job = (await enqueue(client)).job
    await until(lambda: client.pusher.pushed)
    assert (await client.commands.job.cancel(OPERATOR, job.id)).state is State.CANCELLED
    assert (await client.commands.job.cancel(OPERATOR, job.id)).state is State.CANCELLED


async def test_a_running_job_is_asked_to_stop(client: Client, hand: Hand) -> None:
    job = (await enqueue(client)).job
    await hand.start()
    asked = await client.commands.job.cancel(OPERATOR, job.id)
    assert (asked.state, asked.cancel_requested) == (State.ACTIVE, True)


async def test_a_job_that_never_reached_the_broker_can_be_cancelled(client: Client, hand: Hand) -> None:
    job = (await enqueue(client, tags=("t",), owner="o", metadata={"a": [1]})).job
    await until(lambda: client.pusher.pushed)
    await client.broker.client.delete(*await client.broker.client.keys("*job:*"))
    cancelled = await client.commands.job.cancel(OPERATOR, job.id)
    assert cancelled.state is State.CANCELLED
    before = msgspec.structs.replace(cancelled, state=State.QUEUED, finished_ms=None, cancel_requested=False)
    assert lasting(before) == lasting(job)
    await hand.record()
    assert [one.state for one in await all_jobs(client)] == [State.CANCELLED]


async def test_an_ended_job_cannot_be_cancelled(client: Client, hand: Hand) -> None:
    await enqueue(client)
    job_id = await hand.complete()
    for _ in range(2):
        with pytest.raises(InvalidState, match="COMPLETED"):
            await client.commands.job.cancel(OPERATOR, job_id)
        await hand.record()


@pytest.mark.parametrize("job_id", ["", "x", "0197c0de-0000-7000-8000-000000000000", "a\x00", "\ud800", "x" * 1_000])
async def test_what_does_not_exist_can_neither_be_cancelled_nor_retried(client: Client, job_id: str) -> None:
    for act in (client.commands.job.cancel, client.commands.job.retry):
        with pytest.raises(NotFound):
            await act(OPERATOR, job_id)
    assert await client.queries.job.get(READER, job_id) is None
