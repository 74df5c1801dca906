"""SAQ's contract: our Queue under SAQ's own worker and under ours, and what SAQ did wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis.asyncio
import saq
import saq.worker
from saq.job import Status

from jobs import exponential
from jobs.broker import Broker, Push, keys
from jobs.errors import PayloadTooLarge, Stale
from jobs.job import Durability, State
from jobs.saq import Queue, Worker
from jobs.saq.process import serve
from jobs.saq.session import SaqBroker
from jobs.saq.status import STATUS, status_of
from jobs.store.migrate import Migrator
from jobs.task import Registry
from tests.factories import make_settings, make_spec
from tests.redis_server import RedisServer

NewQueue = Callable[..., Queue]

TIMERS: Any = {"abort": 0.1, "sweep": 0.2, "schedule": 1, "worker_info": 1}
WORKERS = [saq.worker.Worker, Worker]


async def add(ctx: Any, *, a: int, b: int = 1) -> int:
    return a + b


async def who(ctx: Any) -> list[str]:
    return [ctx["job"].key, ctx["job"].function, ctx["job"].queue.name, ctx["worker"].id]


def in_thread(_context: Any, *, text: str) -> str:
    return text.upper()


async def fail(_: Any) -> None:
    raise ValueError("oops")


async def endless(_: Any) -> None:
    await asyncio.Event().wait()


async def nan(_: Any) -> float:
    return float("nan")


async def half(ctx: Any) -> None:
    ctx["job"].meta["seen"] = True
    await ctx["job"].update(progress=0.5)
    await asyncio.Event().wait()


FUNCTIONS: list[Callable[..., Any]] = [add, who, in_thread, fail, endless, nan, half]


@pytest.fixture
async def new_queue(redis_url: str) -> AsyncIterator[NewQueue]:
    queues = []

    def make(name: str = "default", **options: Any) -> Queue:
        queues.append(Queue.from_url(redis_url, name=name, **options))
        return queues[-1]

    yield make
    for queue in queues:
        await queue.disconnect()


@pytest.fixture
def queue(new_queue: NewQueue) -> Queue:
    return new_queue()


@pytest.fixture(params=WORKERS, ids=["SAQ's worker", "our worker"])
async def worker(request: pytest.FixtureRequest, queue: Queue) -> AsyncIterator[saq.worker.Worker[Any]]:
    worker = request.param(queue, FUNCTIONS, timers=TIMERS)
    working = asyncio.create_task(worker.start())
    yield worker
    await worker.stop()
    await working


async def enqueue(queue: Queue, function: str, **options: Any) -> saq.Job:
    job = await queue.enqueue(function, **options)
    assert job is not None
    return job


async def dequeue(queue: Queue) -> saq.Job:
    job = await queue.dequeue(timeout=5)
    assert job is not None
    return job


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def ended(queue: Queue, job: saq.Job) -> saq.Job:
    await job.refresh(until_complete=10)
    return job


async def forget(queue: Queue) -> None:
    """What the recorder does once it has written everything to history."""
    broker = await queue.broker()
    await broker.forget(await broker.stream.last())


# Under both workers


async def test_saq_functions_run_unchanged(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    assert await queue.apply("add", a=1, b=2, poll_interval=0.01) == 3
    assert await queue.apply("in_thread", text="a", poll_interval=0.01) == "A"
    assert await queue.apply("who", key="k", poll_interval=0.01) == ["k", "who", "default", worker.id]
    assert await queue.map("add", [{"a": 1}, {"a": 2}], poll_interval=0.01) == [2, 3]
    with pytest.raises(saq.queue.JobError, match="oops"):
        await queue.apply("fail", poll_interval=0.01)


async def test_ended_job_tells_what_saq_tells(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "add", a=1, meta={"tenant": 7}, timeout=20, retries=3))

    assert (job.status, job.result, job.attempts, job.progress) == (Status.COMPLETE, 2, 1, 1.0)
    assert (job.kwargs, job.meta, job.timeout, job.retries) == ({"a": 1}, {"tenant": 7}, 20, 3)
    assert job.queued <= job.started <= job.completed
    assert job.worker_id == worker.id


async def test_failing_job_is_retried_as_often_as_it_may(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "fail", retries=2))

    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert job.error is not None
    assert "oops" in job.error


async def test_running_job_can_be_aborted(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "endless", timeout=60)
    await queue.listen([job.key], lambda _, status: status is Status.ACTIVE)

    await job.abort("enough")
    assert await queue.count("active") == 0
    assert await queue.enqueue("endless", key=job.key) is None
    await ended(queue, job)

    assert (job.status, job.error) == (Status.ABORTED, "enough")


async def test_result_that_is_no_json_fails_the_job(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "nan", retries=3))

    assert (job.status, job.attempts, job.result) == (Status.FAILED, 1, None)


async def test_function_reports_through_its_job(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "half", timeout=60)

    async def reported() -> bool:
        await job.refresh()
        return (job.progress, job.meta) == (0.5, {"seen": True})

    await until(reported)
    broker = await queue.broker()

    async def in_history() -> bool:
        live = (await broker.jobs([(await broker.ids())[1][0]])).popitem()[1]
        return live.progress is not None and live.progress.percentage == 50

    await until(in_history)
    await job.abort("done")


async def test_stopped_worker_gives_its_jobs_back(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "endless", timeout=60)
    await queue.listen([job.key], lambda _, status: status is Status.ACTIVE)

    await worker.stop()
    await job.refresh()

    assert (job.status, job.error) == (Status.QUEUED, "cancelled")


async def test_result_stays_for_its_ttl_when_history_has_it(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    kept = await ended(queue, await enqueue(queue, "add", a=1, ttl=60))
    gone = await enqueue(queue, "add", a=1, ttl=-1)

    async def is_gone() -> bool:
        return await queue.job(gone.key) is None

    await until(is_gone)
    await forget(queue)

    broker = await queue.broker()
    assert (await broker.ids())[1] == []
    await kept.refresh()
    assert (kept.status, kept.result) == (Status.COMPLETE, 2)
    ttls = [await broker.client.ttl(name) async for name in broker.client.scan_iter(match="*kept:*")]
    assert len(ttls) == 1
    assert 0 < ttls[0] <= 60


async def test_statistics_count_what_counted(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    await ended(queue, await enqueue(queue, "add", a=1))
    await ended(queue, await enqueue(queue, "fail", retries=2))

    info = await worker.worker_info()
    assert info["stats"] is not None
    assert {name: info["stats"][name] for name in ("complete", "failed", "retried", "aborted")} == {
        "complete": 1, "failed": 1, "retried": 1, "aborted": 0,
    }  # fmt: skip
    assert set((await queue.info())["workers"]) == {worker.id}


# The queue


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


async def test_cancelled_dequeue_loses_no_job(queue: Queue) -> None:
    got: list[saq.Job] = []
    for turns in range(30):
        waiting = asyncio.create_task(queue.dequeue())
        await asyncio.sleep(0)
        await enqueue(queue, "add", a=turns)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        got += [job for job in await asyncio.gather(waiting, return_exceptions=True) if isinstance(job, saq.Job)]

    assert len(got) < 30
    while len(got) < 30:
        got.append(await dequeue(queue))
    assert len({job.key for job in got}) == 30
    assert await queue.dequeue(timeout=0.01) is None


async def test_jobs_not_started_go_back_at_disconnect(new_queue: NewQueue) -> None:
    first, second = new_queue(), new_queue()
    await enqueue(first, "add", a=1)
    await dequeue(first)

    await first.disconnect()

    assert (await dequeue(second)).attempts == 0


async def lose_leases(broker: Broker) -> None:
    """Let the time pass after which the reaper takes the jobs of all sessions that nobody renews."""
    for seconds in range(0, 16, 4):
        await broker.client.set(keys.CLOCK, seconds * 1000)
        await broker.reap()


async def test_stale_worker_has_no_effect(new_queue: NewQueue) -> None:
    settings = make_settings(renew_s=3600)
    frozen, other = new_queue(settings=settings), new_queue()
    job = await enqueue(frozen, "add", a=1, retries=3)
    old = await dequeue(frozen)
    await old.update(status=Status.ACTIVE)
    broker = await other.broker()
    await lose_leases(broker)

    new = await dequeue(other)
    await new.update(status=Status.ACTIVE)
    await old.finish(Status.COMPLETE, result="old")
    await old.update(progress=0.9)
    await job.refresh()
    assert (job.status, job.progress) == (Status.ACTIVE, 0.0)

    await new.finish(Status.COMPLETE, result="new")
    await job.refresh()
    assert (job.status, job.result) == (Status.COMPLETE, "new")
    assert (frozen.complete, other.complete) == (0, 1)


async def test_worker_that_lost_its_session_opens_another(new_queue: NewQueue) -> None:
    queue = new_queue(settings=make_settings(renew_s=3600))
    await enqueue(queue, "add", a=1)
    job = await dequeue(queue)
    broker = await queue.broker()
    await lose_leases(broker)

    with pytest.raises(Stale):
        await job.update(status=Status.ACTIVE)
    again = await dequeue(queue)
    await again.update(status=Status.ACTIVE)
    await again.finish(Status.COMPLETE)
    assert queue.complete == 1


async def test_final_state_stays_final(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1)
    held = await dequeue(queue)
    await held.update(status=Status.ACTIVE)
    await held.finish(Status.COMPLETE, result=7)

    await job.abort("too late")
    await job.finish(Status.FAILED, error="too late")
    await job.update(meta={"late": True})
    await job.retry("too late")

    await job.refresh()
    assert (job.status, job.result, job.error, job.meta) == (Status.COMPLETE, 7, None, {})


async def test_whoever_has_no_token_uses_the_current_one(queue: Queue, new_queue: NewQueue) -> None:
    outside = new_queue()
    job = await enqueue(outside, "add", a=1)
    await (await dequeue(queue)).update(status=Status.ACTIVE)

    await job.finish(Status.COMPLETE, result=1)
    await job.refresh()
    assert (job.status, job.attempts) == (Status.COMPLETE, 1)

    by_hand = await enqueue(outside, "add", a=1)
    await by_hand.finish(Status.COMPLETE, result=2)
    await by_hand.refresh()
    assert (by_hand.status, by_hand.attempts) == (Status.COMPLETE, 1)
    assert await queue.dequeue(timeout=0.05) is None


async def test_retry_waits_for_its_delay(queue: Queue) -> None:
    job = await enqueue(queue, "fail", retries=2, retry_delay=30)
    held = await dequeue(queue)
    await held.update(status=Status.ACTIVE)
    await held.retry("Traceback\n  in f\nValueError: oops")

    await job.refresh()
    assert (job.status, job.attempts, job.started) == (Status.QUEUED, 1, 0)
    assert job.error is not None
    assert job.error.endswith("ValueError: oops")
    assert (await queue.count("queued"), await queue.count("incomplete")) == (0, 1)
    broker = await queue.broker()
    live = (await broker.jobs((await broker.ids())[1])).popitem()[1]
    assert live.error is not None
    assert (live.state, live.error.type, live.error.message) == (State.RETRYING, "ValueError", "oops")


async def test_job_that_missed_its_heartbeat_is_stopped_and_retried(queue: Queue) -> None:
    began = []

    async def silent(_: Any) -> None:
        began.append(1)
        await asyncio.Event().wait()

    worker = saq.worker.Worker(queue, [("silent", silent)], timers=TIMERS)
    working = asyncio.create_task(worker.start())
    job = await enqueue(queue, "silent", heartbeat=0.3, retries=2, timeout=60)
    await ended(queue, job)
    await worker.stop()
    await working

    assert (job.status, job.error, len(began)) == (Status.FAILED, "swept", 2)


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


async def test_jobs_of_others_are_served_too(queue: Queue) -> None:
    broker = await queue.broker()
    spec = make_spec("add", args={"a": 1}, key="mine", max_attempts=2)
    await broker.push([Push(spec=spec)])

    job = await dequeue(queue)
    assert (job.key, job.kwargs, job.retries) == (spec.id, {"a": 1}, 2)
    await job.update(status=Status.ACTIVE)
    await job.finish(Status.COMPLETE, result=1)
    assert (await broker.jobs([spec.id]))[spec.id].state is State.COMPLETED


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


async def test_info_lists_what_has_not_ended(queue: Queue) -> None:
    for scheduled in (0, 0, saq.utils.now_seconds() + 60):
        await enqueue(queue, "add", a=1, scheduled=scheduled)
    await (await dequeue(queue)).update(status=Status.ACTIVE)

    info = await queue.info(jobs=True)
    assert (info["queued"], info["active"], info["scheduled"]) == (1, 1, 1)
    assert sorted(job["status"] for job in info["jobs"]) == ["active", "queued", "queued"]
    assert len((await queue.info(jobs=True, offset=1, limit=1))["jobs"]) == 1
    assert len([job async for job in queue.iter_jobs([Status.ACTIVE])]) == 1


async def test_listener_hears_of_an_end_that_came_before_it(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1)
    await job.finish(Status.COMPLETE)
    heard = []

    def hear(key: str, status: Status) -> bool:
        heard.append((key, status))
        return True

    await queue.listen([job.key], hear, timeout=5)
    assert heard == [(job.key, Status.COMPLETE)]

    forgotten = await enqueue(queue, "add", a=1)
    listening = asyncio.create_task(queue.listen([forgotten.key], lambda *_: False, timeout=0))
    await forgotten.update()
    await (await queue.broker()).discard([(msg, 1) for msg in (await (await queue.broker()).ids())[1]])
    async with asyncio.timeout(5):
        await listening
    with pytest.raises(TimeoutError):
        await queue.listen(["unknown"], lambda *_: True, timeout=0.05)


async def test_calls_of_one_turn_share_their_round_trips(queue: Queue, redis_client: redis.asyncio.Redis) -> None:
    done = asyncio.Event()
    count = 0

    async def tick(_: Any) -> None:
        nonlocal count
        count += 1
        if count == 500:
            done.set()

    await asyncio.gather(*(queue.enqueue("tick") for _ in range(500)))
    await redis_client.config_resetstat()
    worker = saq.worker.Worker(queue, [("tick", tick)], concurrency=50)
    working = asyncio.create_task(worker.start())
    await done.wait()
    await worker.stop()
    await working

    calls = (await redis_client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert calls < 250


# Standing alone, and beside others


async def test_queue_gives_redis_an_epoch_where_there_is_none(queue: Queue, redis_client: redis.asyncio.Redis) -> None:
    await enqueue(queue, "add", a=1)
    assert await redis_client.get(keys.EPOCH) == b"1"
    await dequeue(queue)

    await redis_client.flushall()
    await enqueue(queue, "add", a=2)
    assert await redis_client.get(keys.EPOCH) == b"2"
    assert (await dequeue(queue)).kwargs == {"a": 2}


async def test_sweep_clears_away_what_ended_where_nobody_records(queue: Queue) -> None:
    job = await enqueue(queue, "add", a=1)
    await job.finish(Status.COMPLETE, result=1)
    broker = await queue.broker()

    await broker.set_reconciled(broker.epoch)
    await queue.sweep()
    assert len((await broker.ids())[1]) == 1

    await broker.set_reconciled(0)
    await queue.sweep()
    assert (await broker.ids())[1] == []
    await job.refresh()
    assert job.result == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:7000/2",
        "redis://me:p%40ss@localhost:7000/0",
        "rediss://localhost:7001/0?ssl_ca_certs=%2Fca.pem",
        "unix:///tmp/redis.sock?db=3",
        "unix://:secret@/tmp/redis.sock?db=0",
    ],
)
async def test_queue_finds_the_url_of_a_client(url: str) -> None:
    client = redis.asyncio.from_url(url)
    again = redis.asyncio.from_url(Queue(client)._url)
    given, found = client.connection_pool.connection_kwargs, again.connection_pool.connection_kwargs
    assert {name: value for name, value in given.items() if value} == {
        name: value for name, value in found.items() if value and (name in given or name != "port")
    }
    assert again.connection_pool.connection_class is client.connection_pool.connection_class


def test_every_state_has_a_status() -> None:
    assert set(STATUS) == set(State)
    assert status_of(State.ACTIVE, cancel_requested=True) is Status.ABORTING
    assert status_of(State.COMPLETED, cancel_requested=True) is Status.COMPLETE


# Our worker


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

    await until(noticed)
    await worker.stop()
    await working
    server.start()
    await queue.disconnect()
    server.stop()
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.WARNING] == []


async def test_burst_ends_by_itself(queue: Queue) -> None:
    for _ in range(5):
        await enqueue(queue, "add", a=1)
    worker: Worker[Any] = Worker(queue, FUNCTIONS, burst=True, dequeue_timeout=0.1, max_burst_jobs=3, concurrency=1)
    async with asyncio.timeout(10):
        await worker.start()
    assert await queue.count("queued") == 2


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


async def test_process_publishes_its_tasks_works_and_ends(redis_url: str, tmp_path: Path) -> None:
    database = f"sqlite://{tmp_path / 'queueql.db'}"
    await Migrator().migrate(database)
    settings = make_settings(redis_url=redis_url, database_url=database, tasks=("jobs.tasks.demo",))
    broker = await SaqBroker.open(redis_url, settings)
    await broker.raise_epoch(1)
    spec = make_spec("demo_countdown", args={"steps": 1, "step_s": 0.0})
    await broker.push([Push(spec=spec)])
    serving = asyncio.create_task(serve(settings))

    async def completed() -> bool:
        found = (await broker.jobs([spec.id]))[spec.id]
        return found.state is State.COMPLETED

    await until(completed)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await serving
    await broker.close()
