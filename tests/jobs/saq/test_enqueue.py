"""What SAQ's enqueue takes in: keys, specs, faults, batches."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import saq
from saq.job import Status

from jobs import exponential
from jobs.broker import keys
from jobs.errors import PayloadTooLarge
from jobs.job import Durability
from jobs.saq import Queue
from tests.factories import make_settings
from tests.jobs.saq.steps import NewQueue, dequeue, enqueue


async def test_one_job_per_key_until_it_has_ended(queue: Queue) -> None:
    both = await asyncio.gather(*(queue.enqueue("add", key="k", a=a) for a in range(5)))
    assert sum(job is not None for job in both) == 1
    assert await queue.enqueue("add", key="k", a=1) is None

    job = await dequeue(queue)
    await job.update(status=Status.ACTIVE)
    assert await queue.enqueue("add", key="k", a=1) is None
    await job.finish(Status.COMPLETE, result=1)

    again = await enqueue(queue, "add", key="k", a=2)
    assert (await dequeue(queue)).kwargs == {"a": 2}
    assert again.key == "k"


async def test_two_processes_agree_who_has_the_key(new_queue: NewQueue) -> None:
    queues = [new_queue() for _ in range(4)]
    for _ in range(10):
        key = saq.utils.uuid1()
        jobs = await asyncio.gather(*(queue.enqueue("add", key=key, a=1) for queue in queues))
        assert sum(job is not None for job in jobs) == 1
    assert await queues[0].count("queued") == 10


async def test_key_is_free_when_its_push_never_came(queue: Queue) -> None:
    broker = await queue.broker()
    await broker.call("claim", [("default:k", "lost", 0)])
    helper = await enqueue(queue, "add", key="k", a=1)
    assert helper.key == "k"

    await broker.call("claim", [("default:m", "lost2", 0)])
    await broker.client.set(keys.CLOCK, 11_000)
    assert (await broker.call("claim", [("default:m", "new", 0)]))[1] == ["new"]


async def test_spec_says_what_saq_said(queue: Queue) -> None:
    await enqueue(queue, "add", a=1, retries=4, retry_delay=2, retry_backoff=9, timeout=7, key="k", heartbeat=3)
    broker = await queue.broker()
    job = (await broker.jobs((await broker.ids())[1])).popitem()[1]

    assert (job.task, job.args, job.key, job.max_attempts, job.timeout_s) == ("add", {"a": 1}, "k", 4, 7.0)
    assert job.backoff == exponential(2, factor=2, cap=9, jitter=1)
    assert job.durability is Durability.MEMORY
    found = await queue.job("k")
    assert found is not None
    assert (found.heartbeat, found.retry_delay, found.retry_backoff, found.scheduled) == (3, 2, 9, 0)


async def test_what_cannot_be_enqueued_is_refused(new_queue: NewQueue) -> None:
    queue = new_queue(settings=make_settings(payload_max_bytes=1024))
    fine = queue.enqueue("add", a=1)
    answers = await asyncio.gather(
        fine,
        queue.enqueue("add", a=float("nan")),
        queue.enqueue("add", a=object()),
        queue.enqueue("add", a="x" * 2000),
        return_exceptions=True,
    )
    assert isinstance(answers[0], saq.Job)
    assert [type(answer) for answer in answers[1:]] == [ValueError, TypeError, PayloadTooLarge]
    with pytest.raises(ValueError, match="is not allowed"):
        new_queue("a:b")


async def test_own_dump_and_load(new_queue: NewQueue) -> None:
    queue = new_queue(dump=msgspec.json.encode, load=msgspec.json.decode)
    await enqueue(queue, "add", a={"x": [1, 2]})
    job = await dequeue(queue)
    assert job.kwargs == {"a": {"x": [1, 2]}}

    no_json = new_queue(dump=lambda value: repr(value).encode())
    with pytest.raises(TypeError, match="has to write JSON"):
        await no_json.enqueue("add", a=1)


async def test_batch_takes_its_jobs_back(queue: Queue) -> None:
    jobs: list[saq.Job] = []

    async def enqueue_and_fail() -> None:
        async with queue.batch():
            jobs.extend([await enqueue(queue, "add", a=number) for number in range(3)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await enqueue_and_fail()
    assert {job.status for job in jobs} == {Status.ABORTED}
    assert await queue.count("incomplete") == 0
