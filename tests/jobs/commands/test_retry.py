"""Retrying a job by hand."""

from __future__ import annotations

import pytest

from jobs.client import Client
from jobs.clock import now_ms
from jobs.errors import InvalidState
from jobs.job import State
from tests.jobs.commands.requests import HOUR_MS, OPERATOR, READER, enqueue, lasting
from tests.jobs.hand import Hand
from tests.wait import until


async def test_a_dead_job_runs_again_under_its_id(client: Client, hand: Hand) -> None:
    await enqueue(client, tags=("t",))
    job_id = await hand.kill()
    with pytest.raises(InvalidState, match="catching up"):
        await client.commands.job.retry(OPERATOR, job_id)
    await hand.record()
    again = await client.commands.job.retry(OPERATOR, job_id)
    assert (again.id, again.run, again.state, again.attempts, again.error) == (job_id, 2, State.QUEUED, 0, None)
    await until(lambda: client.pusher.pushed == 2)
    found = await client.queries.job.get(READER, job_id)
    assert found is not None
    assert lasting(found) == lasting(again)
    assert await hand.complete() == job_id
    await hand.record()
    ended = await client.queries.job.get(READER, job_id)
    assert ended is not None
    assert (ended.state, ended.run) == (State.COMPLETED, 2)


async def test_a_job_that_was_cancelled_before_its_time_runs_at_once_when_it_is_retried(
    client: Client, hand: Hand
) -> None:
    job = (await enqueue(client, scheduled_ms=now_ms() + HOUR_MS)).job
    await until(lambda: client.pusher.pushed)
    await client.commands.job.cancel(OPERATOR, job.id)
    await hand.record()
    again = await client.commands.job.retry(OPERATOR, job.id)
    assert again.state is State.QUEUED
    assert await hand.complete() == job.id


async def test_only_a_dead_or_cancelled_job_can_be_retried(client: Client, hand: Hand) -> None:
    job = (await enqueue(client)).job
    memory = (await enqueue(client, "fleeting")).job
    for job_id in (job.id, memory.id):
        with pytest.raises(InvalidState):
            await client.commands.job.retry(OPERATOR, job_id)
    await hand.complete()
    await hand.complete()
    await hand.record()
    for job_id in (job.id, memory.id):
        with pytest.raises(InvalidState, match="COMPLETED"):
            await client.commands.job.retry(OPERATOR, job_id)


async def test_a_job_whose_key_another_one_holds_by_now_cannot_be_retried(client: Client, hand: Hand) -> None:
    await enqueue(client, key="k")
    dead = await hand.kill()
    await hand.record()
    await enqueue(client, key="k")
    with pytest.raises(InvalidState, match="has the key k"):
        await client.commands.job.retry(OPERATOR, dead)
