"""Losing the lease, and losing Redis."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs import Context
from jobs.broker import Broker
from jobs.job import State
from tests.factories import make_settings
from tests.jobs.broker.watch import dump, restore
from tests.jobs.worker.works import Works
from tests.redis_server import RedisServer
from tests.wait import eventually, until


async def test_a_lost_session_counts_for_nothing_and_a_new_one_is_opened(works: Works) -> None:
    runs: list[str] = []
    go_on = threading.Event()

    @works.task()
    async def coroutine(ctx: Context) -> str:
        runs.append("coroutine")
        if ctx.attempt == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                runs.append("cancelled")
                return "from the lost session"
        return "from the new one"

    @works.task()
    def thread(ctx: Context) -> str:
        if ctx.attempt == 1:
            go_on.wait(20)
            return "from the lost session"
        return "from the new one"

    engine = await works.start()
    ids = [await works.push("coroutine"), await works.push("thread")]
    for job_id in ids:
        await works.reach(job_id, State.ACTIVE)
    first = engine.session_id
    # what the reaper does when a lease ran out
    await works.broker.call("session", ("close", first))
    for job_id in ids:
        job = await works.reach(job_id, State.COMPLETED)
        assert (job.result, job.attempts, job.crashes) == ("from the new one", 2, 1)
    go_on.set()
    assert engine.session_id not in (None, first)
    assert runs == ["coroutine", "cancelled", "coroutine"]
    assert (await works.job(ids[1])).result == "from the new one"


async def test_what_an_older_copy_of_redis_believes_the_worker_has_runs_again(
    works: Works, redis_server: RedisServer
) -> None:
    """The worker and its lease outlive the loss, so no reaper takes back what it has ended already."""
    ends, goes_on = asyncio.Event(), asyncio.Event()
    runs: list[tuple[str, int]] = []

    @works.task()
    async def wait(ctx: Context, name: str) -> str:
        runs.append((name, ctx.attempt))
        if ctx.attempt == 1:
            await (ends if name == "ended" else goes_on).wait()
        return name

    engine = await works.start()
    first = engine.session_id
    ended, running = [await works.push("wait", args={"name": name}) for name in ("ended", "running")]
    for job_id in (ended, running):
        await works.reach(job_id, State.ACTIVE)
    with redis.Redis.from_url(redis_server.url) as client:
        copy = dump(client)
        ends.set()
        await works.reach(ended, State.COMPLETED)
        restore(client, copy)
    await works.broker.raise_epoch(2)
    job = await works.reach(ended, State.COMPLETED)
    assert (job.attempts, job.crashes) == (2, 0)
    assert (await works.kinds(ended))[-4:] == ["Started", "Reaped", "Started", "Completed"]
    goes_on.set()
    assert (await works.reach(running, State.COMPLETED)).attempts == 1  # the worker has it still
    assert engine.session_id == first
    assert sorted(runs) == [("ended", 1), ("ended", 2), ("running", 1)]


async def test_the_lease_is_kept_while_a_task_blocks_the_loop(works: Works, redis_url: str) -> None:
    async def reap() -> list[str]:
        broker = await Broker.open(redis_url, make_settings())
        reaped: list[str] = []
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            reaped += (await broker.reap())[0]
            await asyncio.sleep(0.05)
        await broker.close()
        return reaped

    @works.task()
    async def block() -> list[str]:
        found: list[str] = []
        reaper = threading.Thread(target=lambda: found.extend(asyncio.run(reap())))
        reaper.start()
        reaper.join()  # this loop stands still while another process's reaper works
        return found

    await works.start(lease_s=1.0, renew_s=0.2)
    job = await works.run("block")
    assert (job.result, job.attempts, job.crashes) == ([], 1, 0)


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for this test alone, which may therefore be stopped and started."""
    server = RedisServer(Path(tmp_path_factory.mktemp("own")), append_only=True)
    server.start()
    yield server
    server.stop()


async def test_jobs_that_end_while_redis_is_away_are_finished_when_it_is_back(own_redis: RedisServer) -> None:
    broker = await Broker.open(own_redis.url, make_settings())
    await broker.raise_epoch(1)
    works = Works(broker)
    runs: list[str] = []
    ended: list[str] = []
    go_on = asyncio.Event()

    @works.task()
    async def work(ctx: Context) -> str:
        runs.append(ctx.job_id)
        await ctx.info("half way")
        await go_on.wait()
        await ctx.progress(1, of=1)
        ended.append(ctx.job_id)
        return "done"

    await works.start()
    ids = [await works.push("work") for _ in range(5)]
    for job_id in ids:
        await works.reach(job_id, State.ACTIVE)
    own_redis.stop()
    go_on.set()
    await until(lambda: len(ended) == len(ids))
    own_redis.start()
    await broker.raise_epoch(2)  # as the reconciler does
    for job_id in ids:
        job = await works.reach(job_id, State.COMPLETED)
        assert (job.result, job.attempts) == ("done", 1)
        assert job.progress is not None
    assert sorted(runs) == sorted(ids)
    await works.close()
    await broker.close()


async def test_a_frozen_redis_delays_but_loses_nothing(own_redis: RedisServer) -> None:
    broker = await Broker.open(own_redis.url, make_settings())
    await broker.raise_epoch(1)
    works = Works(broker)

    @works.task()
    async def small() -> None: ...

    await works.start()
    ids = [await works.push("small") for _ in range(50)]
    own_redis.send_signal(signal.SIGSTOP)
    with (
        redis.Redis.from_url(own_redis.url, socket_timeout=0.5) as client,
        pytest.raises(redis.exceptions.TimeoutError),
    ):
        await asyncio.to_thread(client.ping)
    own_redis.send_signal(signal.SIGCONT)
    for job_id in ids:
        assert (await works.reach(job_id, State.COMPLETED)).attempts == 1
    await works.close()
    await broker.close()


async def test_a_worker_stops_although_redis_is_away(own_redis: RedisServer) -> None:
    broker = await Broker.open(own_redis.url, make_settings())
    await broker.raise_epoch(1)
    works = Works(broker)
    running = asyncio.Event()

    @works.task()
    async def work() -> None:
        running.set()
        await asyncio.Event().wait()

    engine = await works.start(grace_s=0.1, lease_s=1.0)
    await works.push("work")
    await running.wait()
    own_redis.stop()
    async with asyncio.timeout(10):
        await engine.stop()
    await broker.close()


async def test_a_worker_may_start_before_redis_is_ready_for_it(works: Works) -> None:
    await works.broker.client.flushall()

    @works.task()
    async def small() -> None: ...

    starting = asyncio.create_task(works.start())
    await asyncio.wait([starting], timeout=0.3)
    assert not starting.done()
    await works.broker.raise_epoch(2)
    await starting
    await works.run("small")


async def test_a_wiped_redis_gets_a_new_session(works: Works) -> None:
    @works.task()
    async def small() -> None: ...

    engine = await works.start()
    first = engine.session_id
    await works.broker.client.flushall()
    await works.broker.raise_epoch(2)

    async def another() -> bool:
        return engine.session_id not in (None, first)

    await eventually(another)
    await works.run("small")
