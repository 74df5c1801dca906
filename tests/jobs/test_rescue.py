"""Stuck jobs, made runnable again, and what only looks stuck left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import redis.asyncio

from jobs import rescue as module
from jobs.broker import Push
from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import EnqueueRequest
from jobs.errors import Forbidden
from jobs.job import Failure, Job, State
from jobs.outcome import RetryLater
from jobs.rescue import Rescue, RescuedJob, RescueReason
from jobs.viewer import SYSTEM, Role, Viewer
from tests.factories import make_spec, make_worker_info
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.wait import until

VIEWER = Viewer(id="v", name="viewer", role=Role.VIEWER)
LEASE_MS = 10_000
PAUSE_MS = 5_000


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


@pytest.fixture
def rescue(client: Client) -> Rescue:
    """Looks at the clock of ten seconds from now, when nothing is young any more."""
    return Rescue(client.store, client.broker, lambda: now_ms() + 10_000)


async def enqueue(client: Client, **fields: Any) -> Job:
    job = (await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop", **fields))).job
    await until(lambda: not client.pusher.waiting)
    return job


async def accepted(client: Client, count: int = 1) -> list[str]:
    """Accept jobs that nobody pushes."""
    specs = [make_spec() for _ in range(count)]
    await asyncio.gather(*(client.store.accept.accept(spec) for spec in specs))
    return [spec.id for spec in specs]


async def found(rescue: Rescue) -> list[RescuedJob]:
    answer = await rescue.everything(10)
    assert answer.is_complete
    assert answer.total == len(answer.jobs)
    return answer.jobs


async def lose(redis_client: redis.asyncio.Redis, job_id: str) -> None:
    """Let Redis lose a job, and not know that it has."""
    keys = [key async for key in redis_client.scan_iter(f"*{job_id}*")]
    assert keys
    await redis_client.delete(*keys)
    for key in [key async for key in redis_client.scan_iter("*:ready:*")]:
        if await redis_client.type(key) == b"zset":
            await redis_client.zrem(key, job_id)
        else:
            await redis_client.lrem(key, 0, job_id)
    await redis_client.zrem("{qq}:due", job_id)


async def move_clock(redis_client: redis.asyncio.Redis, by_ms: int) -> None:
    await redis_client.incrby("{qq}:clock", by_ms)


async def test_where_all_is_well_nothing_is_rescued(client: Client, hand: Hand, rescue: Rescue) -> None:
    await enqueue(client)
    await enqueue(client)
    await enqueue(client, scheduled_ms=now_ms() + 60_000)
    running = await hand.start()
    assert await found(rescue) == []
    await hand.record()
    assert await found(rescue) == []
    assert (await client.broker.jobs([running.id]))[running.id].state is State.ACTIVE


async def test_what_never_reached_its_queue(client: Client, hand: Hand, rescue: Rescue) -> None:
    ids = await accepted(client, 3)
    assert {(job.id, job.reason) for job in await found(rescue)} == {(one, RescueReason.NEVER_QUEUED) for one in ids}
    assert {await hand.complete() for _ in ids} == set(ids)
    assert await found(rescue) == []
    await hand.record()
    job = await client.store.search.job(ids[0])
    assert job
    assert (job.state, job.recoveries) == (State.COMPLETED, 0)


async def test_what_is_on_its_way_is_not_called_stuck(client: Client) -> None:
    ids = await accepted(client, 3)
    assert (await client.commands.job.rescue_stuck(SYSTEM)).jobs == []
    assert await client.broker.jobs(ids) == {}


async def test_what_redis_has_lost(
    client: Client, hand: Hand, rescue: Rescue, redis_client: redis.asyncio.Redis
) -> None:
    waiting, active = await enqueue(client), await enqueue(client)
    first = await hand.start()
    await hand.record()
    for job in (waiting, active):
        await lose(redis_client, job.id)
    assert {(job.id, job.reason) for job in await found(rescue)} == {
        (waiting.id, RescueReason.MISSING),
        (active.id, RescueReason.MISSING),
    }
    live = await client.broker.jobs([waiting.id, active.id])
    assert [job.state for job in live.values()] == [State.QUEUED, State.QUEUED]
    assert {job.id: (job.attempts, job.recoveries) for job in live.values()}[first.id] == (1, 1)
    assert await found(rescue) == []
    for _ in range(2):
        await hand.complete()
    await hand.record()
    recorded = await client.store.search.jobs_by_id([waiting.id, active.id])
    assert {job.state for job in recorded.values()} == {State.COMPLETED}


async def test_a_lost_job_is_left_until_history_has_all_that_happened_to_it(
    client: Client, hand: Hand, rescue: Rescue, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CATCH_UP_S", 0.1)
    job = await enqueue(client)
    await hand.record()
    await hand.start()  # which is not recorded
    await lose(redis_client, job.id)
    answer = await rescue.everything(10)
    assert (answer.jobs, answer.is_complete) == ([], False)
    await hand.record()
    assert await found(rescue) == [RescuedJob(job.id, RescueReason.MISSING)]
    assert (await client.broker.jobs([job.id]))[job.id].attempts == 1


async def test_a_job_that_ended_and_is_not_recorded_does_not_run_again(
    client: Client, hand: Hand, rescue: Rescue
) -> None:
    job = await enqueue(client)
    await hand.record()
    await hand.complete()
    assert await found(rescue) == []
    await hand.record()
    assert await found(rescue) == []
    recorded = await client.store.search.job(job.id)
    assert recorded
    assert (recorded.state, recorded.attempts) == (State.COMPLETED, 1)


async def test_a_job_that_ends_while_it_is_compared_does_not_run_again(
    client: Client, hand: Hand, rescue: Rescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between reading history and pushing, the job arrives, runs, is recorded and forgotten.
    (job_id,) = await accepted(client)
    read = client.store.search.unpushed

    async def slow(**limits: Any) -> Sequence[Any]:
        jobs = await read(**limits)
        await client.broker.push([Push(spec=job.spec) for job in jobs])
        await hand.complete()
        await hand.record()
        await client.broker.forget(await client.store.history.position())
        assert await client.broker.jobs([job_id]) == {}
        return jobs

    monkeypatch.setattr(client.store.search, "unpushed", slow)
    assert await found(rescue) == []
    assert await client.broker.jobs([job_id]) == {}


async def test_every_push_is_dated_before_history_is_read(
    client: Client, rescue: Rescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that what ended since the reading is still remembered for as long as the push may arrive.
    order: list[str] = []

    def watch(owner: Any, name: str) -> None:
        call = getattr(owner, name)

        async def watched(*args: Any, **options: Any) -> Any:
            order.append(name)
            return await call(*args, **options)

        monkeypatch.setattr(owner, name, watched)

    await accepted(client)
    watch(client.broker, "deadline_ms")
    watch(client.store.search, "unpushed")
    watch(client.store.search, "unfinished_among")
    await rescue.compare("")
    await rescue.push_unpushed(age_ms=0)
    assert order == ["deadline_ms", "unfinished_among", "deadline_ms", "unpushed"]


async def test_a_job_that_ends_while_everything_is_compared_does_not_run_again(
    client: Client, hand: Hand, rescue: Rescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = await accepted(client)
    look = client.broker.runs

    async def slow(ids: Sequence[str]) -> list[int]:
        runs = await look(ids)
        await client.broker.push([Push(spec=job.spec) for job in await client.store.search.unfinished_among(ids)])
        await hand.complete()
        await hand.record()
        await client.broker.forget(await client.store.history.position())
        return runs

    monkeypatch.setattr(client.broker, "runs", slow)
    assert (await rescue.compare("")).rescued == []
    assert await client.broker.jobs([job_id]) == {}


async def test_a_job_that_is_retried_by_hand_is_not_taken_for_its_earlier_run(
    client: Client, hand: Hand, rescue: Rescue
) -> None:
    job = await enqueue(client)
    await hand.kill()
    await hand.record()
    _, run = await client.store.accept.rerun(job.id)  # and nobody pushes it
    assert run == 2
    assert (await rescue.compare("")).rescued == [RescuedJob(job.id, RescueReason.NEVER_QUEUED)]
    assert (await client.broker.jobs([job.id]))[job.id].run == 2


async def test_a_lost_worker(client: Client, rescue: Rescue, redis_client: redis.asyncio.Redis) -> None:
    job = await enqueue(client)
    dead = await client.broker.open_session(make_worker_info())
    (reserved,) = (await dead.lane(0).step([], 1, ["default"])).reserved
    await dead.start([reserved])
    assert await found(rescue) == []  # the reaper was here just now
    await move_clock(redis_client, LEASE_MS + 1)
    # Redis was frozen perhaps, and the worker's renewal is waiting: the lease is prolonged, also on demand
    assert await found(rescue) == []
    await move_clock(redis_client, 4_000)
    assert await found(rescue) == []
    await move_clock(redis_client, PAUSE_MS - 4_000 + 1)
    assert await found(rescue) == [RescuedJob(job.id, RescueReason.WORKER_LOST)]
    live = (await client.broker.jobs([job.id]))[job.id]
    assert (live.state, live.crashes) == (State.QUEUED, 1)
    await dead.close()


async def test_what_is_overdue(client: Client, hand: Hand, rescue: Rescue, redis_client: redis.asyncio.Redis) -> None:
    job = await enqueue(client)
    running = await hand.start()
    await hand.finish(running, RetryLater(Failure(type="ValueError", message="no"), 60_000))
    assert await found(rescue) == []
    await redis_client.zincrby("{qq}:due", -60_000, job.id)
    assert await found(rescue) == []  # it is the scheduler's for a moment
    await redis_client.zincrby("{qq}:due", -module.OVERDUE_MS, job.id)
    assert await found(rescue) == [RescuedJob(job.id, RescueReason.OVERDUE)]
    assert (await client.broker.jobs([job.id]))[job.id].state is State.QUEUED


async def test_many_are_counted_and_the_first_hundred_named(
    client: Client, rescue: Rescue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 50)
    await accepted(client, 230)
    answer = await rescue.everything(10)
    assert (answer.total, len(answer.jobs), answer.is_complete) == (230, 100, True)
    assert len({job.id for job in answer.jobs}) == 100


async def test_what_there_is_no_time_for_is_said(client: Client) -> None:
    times = iter(range(1_000_000))
    rescue = Rescue(client.store, client.broker, now_ms, monotonic=lambda: next(times))
    assert not (await rescue.everything(2)).is_complete


async def test_whoever_may_only_read_rescues_nothing(client: Client) -> None:
    with pytest.raises(Forbidden):
        await client.commands.job.rescue_stuck(VIEWER)
