"""Keys and idempotency keys."""

from __future__ import annotations

import pytest

from jobs.client import Client
from jobs.commands import EnqueueRequest
from jobs.errors import IdempotencyMismatch, InvalidOption
from jobs.job import State
from tests.jobs.commands.requests import ADMIN, enqueue
from tests.jobs.hand import Hand


async def test_the_same_idempotency_key_leads_to_the_same_job(client: Client, hand: Hand) -> None:
    first = await enqueue(client, "send_mail", args={"to": "a"}, idempotency_key="i")
    again = await enqueue(client, "send_mail", args={"to": "a"}, idempotency_key="i")
    assert (again.duplicate, again.job.id) == (True, first.job.id)
    with pytest.raises(IdempotencyMismatch):
        await enqueue(client, "send_mail", args={"to": "b"}, idempotency_key="i")


async def test_an_idempotency_key_holds_after_the_job_has_ended(client: Client, hand: Hand) -> None:
    first = await enqueue(client, idempotency_key="i", key="k")
    assert await hand.complete() == first.job.id
    again = await enqueue(client, idempotency_key="i", key="k")
    assert (again.duplicate, again.job.id, again.job.state) == (True, first.job.id, State.COMPLETED)


async def test_idempotency_keys_of_different_viewers_do_not_meet(client: Client) -> None:
    first = await enqueue(client, idempotency_key="i")
    other = await client.commands.job.enqueue(ADMIN, EnqueueRequest(task="noop", idempotency_key="i"))
    assert other.job.id != first.job.id


async def test_a_key_is_free_again_once_its_job_has_ended(client: Client, hand: Hand) -> None:
    first = await enqueue(client, key="k")
    assert (await enqueue(client, key="k")).job.id == first.job.id
    await hand.complete()  # not recorded yet: the broker is asked
    second = await enqueue(client, key="k")
    assert not second.duplicate
    assert second.job.id != first.job.id
    await hand.complete()
    await hand.record()
    assert not (await enqueue(client, key="k")).duplicate


async def test_a_memory_task_takes_no_keys(client: Client) -> None:
    with pytest.raises(InvalidOption, match="durability STORE") as fault:
        await enqueue(client, "fleeting", key="k")
    assert fault.value.path == ("key",)
