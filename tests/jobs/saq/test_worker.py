"""Our worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import Any

import pytest
import redis.asyncio
import saq
from saq.job import Status
from structlog.testing import capture_logs

from jobs.broker import keys
from jobs.saq import Queue, Worker
from jobs.task import Registry
from tests.jobs.saq.functions import FUNCTIONS, TIMERS
from tests.jobs.saq.steps import NewQueue, dequeue, ended, enqueue
from tests.redis_server import RedisServer
from tests.wait import eventually


async def test_worker_runs_a_registry_of_tasks(queue: Queue, new_queue: NewQueue) -> None:
    registry = Registry()

    async def double(value: int) -> int:
        return value * 2

    registry.add(double)
    worker: Worker[Any] = Worker(queue, registry, queues=["more"])
    working = asyncio.create_task(worker.start())
    try:
        assert await queue.apply("double", value=2, poll_interval=0.01) == 4
        assert await new_queue("more").apply("double", value=3, poll_interval=0.01) == 6
    finally:
        await worker.stop()
        await working


async def test_hooks_and_context_are_saqs(queue: Queue) -> None:
    story: list[Any] = []

    async def startup(ctx: Any) -> None:
        ctx["number"] = 7

    def before(ctx: Any) -> None:
        story.append(("before", ctx["number"]))

    async def after(ctx: Any) -> None:
        story.append(("after", ctx["job"].status, str(ctx.get("exception"))))

    async def shutdown(ctx: Any) -> None:
        story.append("shutdown")

    worker: Worker[Any] = Worker(
        queue, FUNCTIONS, startup=startup, shutdown=shutdown, before_process=before, after_process=[after]
    )
    working = asyncio.create_task(worker.start())
    await ended(queue, await enqueue(queue, "add", a=1))
    await ended(queue, await enqueue(queue, "fail"))
    await worker.stop()
    await working

    assert story == [
        ("before", 7), ("after", Status.COMPLETE, "None"),
        ("before", 7), ("after", Status.FAILED, "oops"), "shutdown",
    ]  # fmt: skip


async def test_worker_stops_at_a_signal_and_starts_again(queue: Queue) -> None:
    worker: Worker[Any] = Worker(queue, FUNCTIONS)
    for _ in range(2):
        working = asyncio.create_task(worker.start())
        assert await queue.apply("add", a=1, poll_interval=0.01) == 2
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await working


async def test_released_attempt_is_not_charged(queue: Queue) -> None:
    worker: Worker[Any] = Worker(queue, FUNCTIONS)
    working = asyncio.create_task(worker.start())
    job = await enqueue(queue, "endless", timeout=60)
    await queue.listen([job.key], lambda _, status: status is Status.ACTIVE)
    await worker.stop()
    await working

    again = await dequeue(queue)
    assert again.attempts == 0
    await job.refresh()
    assert job.attempts == 1


async def test_upkeep_leaves_it_to_the_lease_to_report_an_outage(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path_factory.mktemp("own"))
    server.start()
    queue = Queue.from_url(server.url)
    worker: Worker[Any] = Worker(queue, FUNCTIONS, timers=TIMERS, shutdown_grace_period_s=0)
    working = asyncio.create_task(worker.start())
    assert await queue.apply("add", a=1, poll_interval=0.01) == 2
    caplog.set_level(logging.DEBUG, "saq")
    server.kill()

    async def noticed() -> bool:
        return sum(message.startswith("Upkeep waits") for message in caplog.messages) >= 5

    await eventually(noticed)
    await worker.stop()
    await working
    server.start()
    await queue.disconnect()
    server.stop()
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING] == []


async def test_a_signal_ends_a_worker_that_waits_for_the_reconciler(
    queue: Queue, redis_client: redis.asyncio.Redis
) -> None:
    """Redis was started anew, and no service is there to compare it with the store."""
    broker = await queue.broker()
    await broker.set_reconciled(broker.epoch)
    await redis_client.set(keys.RUN, "another process")
    await redis_client.script_flush()
    worker: Worker[Any] = Worker(queue, FUNCTIONS)
    with capture_logs() as logs:
        working = asyncio.create_task(worker.start())

        async def waits() -> bool:
            return "worker.waits_for_broker" in [entry["event"] for entry in logs]

        await eventually(waits)
    worker.event.set()  # what a signal does
    done, _ = await asyncio.wait([working], timeout=2)
    await worker.stop()
    assert done == {working}


async def test_burst_ends_by_itself(queue: Queue) -> None:
    for _ in range(5):
        await enqueue(queue, "add", a=1)
    worker: Worker[Any] = Worker(queue, FUNCTIONS, burst=True, dequeue_timeout=0.1, max_burst_jobs=3, concurrency=1)
    async with asyncio.timeout(10):
        await worker.start()
    assert await queue.count("queued") == 2


async def test_worker_without_slots_does_the_upkeep_only(queue: Queue) -> None:
    worker: Worker[Any] = Worker(queue, [], concurrency=0, timers=TIMERS)
    working = asyncio.create_task(worker.start())
    job = await enqueue(queue, "add", a=1)

    async def listed() -> bool:
        return set((await queue.info())["workers"]) == {worker.id}

    await eventually(listed)
    assert [health.ok for health in await worker.health()] == [True]
    await job.refresh()
    assert (job.status, await queue.count("queued")) == (Status.QUEUED, 1)
    await worker.stop()
    await working


async def test_cron_job_runs_by_the_clock_of_redis(queue: Queue) -> None:
    async def tick(_: Any) -> str:
        return "tick"

    worker: Worker[Any] = Worker(queue, [], cron_jobs=[saq.CronJob(tick, cron="0 0 1 1 *")])
    await worker.schedule()
    broker = await queue.broker()
    job = await queue.job(f"cron:{tick.__qualname__}")
    assert job is not None
    await worker.schedule()
    assert await queue.count("incomplete") == 1

    await broker.client.set(keys.CLOCK, int(job.scheduled * 1000) - await broker.now_ms() + 1000)
    await worker.schedule()
    assert await queue.count("queued") == 1
    await worker.stop()


async def test_worker_needs_our_queue(redis_url: str) -> None:
    theirs = saq.Queue.from_url("redis://localhost")
    with pytest.raises(TypeError, match="needs a jobs"):
        Worker(theirs, FUNCTIONS)  # type: ignore[arg-type]  # that is what is tested
