"""Workers through the doors: how they are, and what they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from jobs import Context
from jobs.broker import Push, WorkerWish
from jobs.client import Client
from jobs.errors import Forbidden, InvalidOption, InvalidState, NotFound
from jobs.job import State
from jobs.queries.worker import Worker, WorkerState
from jobs.task import Registry, task
from jobs.viewer import SYSTEM
from jobs.worker import Engine
from tests.factories import make_settings, make_spec, make_vitals, make_worker_info
from tests.jobs.commands.requests import READER
from tests.wait import eventually, until

REGISTRY = Registry()
go_on = threading.Event()


@task(registry=REGISTRY)
async def hold(ctx: Context) -> None:
    while not go_on.is_set():
        await asyncio.sleep(0.02)


@task(registry=REGISTRY)
async def fail() -> None:
    raise ValueError("no")


@task(registry=REGISTRY)
async def block() -> None:
    go_on.wait(20)  # the point of it


@pytest.fixture
def dialect(sqlite_template: object) -> str:
    """The database has no part in this."""
    return "sqlite"


@pytest.fixture
async def start(client: Client) -> AsyncIterator[Callable[[], Awaitable[Engine]]]:
    """Starts workers that stop after the test."""
    engines: list[Engine] = []
    go_on.clear()

    async def start() -> Engine:
        engine = Engine(client.broker, REGISTRY, make_settings(renew_s=0.1, grace_s=1.0, concurrency=4))
        engines.append(engine)
        await engine.start()
        return engine

    yield start
    go_on.set()
    await asyncio.gather(*(engine.stop() for engine in engines))


async def push(client: Client, name: str, **fields: Any) -> str:
    spec = make_spec(name, **({"max_attempts": 1} | fields))
    await client.broker.push([Push(spec=spec)])
    return spec.id


async def get(client: Client, worker_id: str | None) -> Worker:
    worker = await client.queries.worker.get(READER, worker_id or "")
    assert worker
    return worker


async def until_worker(client: Client, engine: Engine, condition: Callable[[Worker], object]) -> Worker:
    async def holds() -> Worker | None:
        worker = await get(client, engine.session_id)
        return worker if condition(worker) else None

    worker: Worker = await eventually(holds)
    return worker


# How they are


async def test_a_worker_says_how_it_is(client: Client, start: Callable[[], Awaitable[Engine]]) -> None:
    engine = await start()
    failed = await push(client, "fail")
    held = await push(client, "hold")
    worker = await until_worker(client, engine, lambda worker: worker.failed == 1 and worker.running and worker.active)
    assert (worker.state, worker.queues, worker.concurrency) == (WorkerState.RUNNING, ("default",), 4)
    assert worker.tasks == ("block", "fail", "hold")
    assert [(job.id, job.task) for job in worker.running] == [(held, "hold")]
    started = (await client.broker.jobs([held]))[held].started_ms
    assert started
    assert abs(worker.running[0].started_ms - started) < 1_000
    assert (worker.finished, worker.failed, worker.active) == (1, 1, 1)
    assert worker.memory_bytes
    assert 10_000_000 < worker.memory_bytes < 10_000_000_000
    assert worker.cpu is not None
    assert 0.0 <= worker.cpu < 64
    assert worker.is_responding
    assert worker.fetched_ms
    assert worker.started_ms <= worker.fetched_ms
    assert abs(worker.seen_ms - worker.fetched_ms) < 10_000
    assert worker.wish == WorkerWish()
    job = (await client.broker.jobs([failed]))[failed]
    assert job.state is State.DEAD


async def test_what_a_worker_has_not_said_is_not_made_up(client: Client) -> None:
    session = await client.broker.open_session(make_worker_info("a", "b"))
    worker = await get(client, session.id)
    unknown = (worker.finished, worker.failed, worker.cpu, worker.memory_bytes, worker.loop_lag_ms, worker.fetched_ms)
    assert set(unknown) == {None}
    assert worker.is_responding is None
    assert (worker.state, worker.queues, worker.concurrency) == (WorkerState.STARTING, ("a", "b"), 10)
    await asyncio.to_thread(session.renew, make_vitals())
    worker = await get(client, session.id)
    assert (worker.cpu, worker.memory_bytes, worker.loop_lag_ms) == (None, None, None)
    assert (worker.state, worker.queues, worker.finished) == (WorkerState.RUNNING, ("default",), 0)
    await session.close()


async def test_a_worker_whose_loop_does_not_answer_shows_it(client: Client) -> None:
    # In a thread with a loop of its own, which the job blocks.
    ready, stop = threading.Event(), threading.Event()
    found: list[str | None] = []

    async def work() -> None:
        engine = Engine(client_broker, REGISTRY, make_settings(renew_s=0.1, grace_s=1.0))
        await engine.start()
        found.append(engine.session_id)
        ready.set()
        await asyncio.to_thread(stop.wait, 30)
        await engine.stop()
        await client_broker.close()

    go_on.clear()
    client_broker = type(client.broker)(client.settings.redis_url, client.settings)
    client_broker.epoch = client.broker.epoch
    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        await until(ready.is_set)
        await push(client, "block")

        async def blocked() -> Worker | None:
            worker = await get(client, found[0])
            return worker if worker.is_responding is False else None

        worker: Worker = await eventually(blocked)
        assert worker.loop_lag_ms is not None
        assert worker.loop_lag_ms > 1_000
        assert [job.task for job in worker.running] == ["block"]
        go_on.set()

        async def free() -> bool | None:
            return (await get(client, found[0])).is_responding

        assert await eventually(free)
    finally:
        go_on.set()
        stop.set()
        await asyncio.to_thread(thread.join)


# What they are told


async def test_a_worker_is_changed(client: Client, start: Callable[[], Awaitable[Engine]]) -> None:
    engine = await start()
    update = client.commands.worker.update
    worker = await update(SYSTEM, engine.session_id or "", concurrency=7)
    assert worker.wish == WorkerWish(concurrency=7)
    await until_worker(client, engine, lambda worker: worker.concurrency == 7)
    await update(SYSTEM, engine.session_id or "", queues=["a", "b", "a"])
    worker = await until_worker(client, engine, lambda worker: worker.queues == ("a", "b"))
    assert worker.concurrency == 7  # what was wished before still holds
    assert worker.wish == WorkerWish(concurrency=7, queues=("a", "b"))


async def test_quiet_and_resume(client: Client, start: Callable[[], Awaitable[Engine]]) -> None:
    engine, commands = await start(), client.commands.worker
    await commands.update(SYSTEM, engine.session_id or "", concurrency=2)
    worker = await commands.quiet(SYSTEM, engine.session_id or "")
    assert worker.wish == WorkerWish(concurrency=2, quiet=True)
    await until_worker(client, engine, lambda worker: worker.state is WorkerState.QUIET)
    worker = await commands.resume(SYSTEM, engine.session_id or "")
    assert worker.wish == WorkerWish(concurrency=2)
    await until_worker(client, engine, lambda worker: worker.state is WorkerState.RUNNING)


async def test_stop(client: Client, start: Callable[[], Awaitable[Engine]]) -> None:
    engine, commands = await start(), client.commands.worker
    session_id = engine.session_id or ""
    running = asyncio.create_task(engine.run_until_stopped())
    await push(client, "hold")
    await until_worker(client, engine, lambda worker: worker.running)
    await commands.stop(SYSTEM, session_id)
    await until_worker(client, engine, lambda worker: worker.state is WorkerState.STOPPING)
    await commands.stop(SYSTEM, session_id)
    for command in (commands.resume, commands.quiet):
        with pytest.raises(InvalidState, match="stops already"):
            await command(SYSTEM, session_id)
    go_on.set()
    async with asyncio.timeout(5):
        await running
    with pytest.raises(NotFound):
        await commands.stop(SYSTEM, session_id)


async def test_what_operators_do_at_the_same_moment_adds_up(client: Client) -> None:
    session = await client.broker.open_session(make_worker_info())
    commands = client.commands.worker
    await asyncio.gather(*(get(client, session.id) for _ in range(3)))  # connected, they go at the same pace
    await asyncio.gather(
        commands.update(SYSTEM, session.id, concurrency=5),
        commands.update(SYSTEM, session.id, queues=["a"]),
        commands.quiet(SYSTEM, session.id),
    )
    assert (await get(client, session.id)).wish == WorkerWish(concurrency=5, queues=("a",), quiet=True)
    await session.close()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, ()),
        ({"concurrency": 0}, ("concurrency",)),
        ({"concurrency": 10_001}, ("concurrency",)),
        ({"queues": []}, ("queues",)),
        ({"queues": ["a"] + [f"q{number}" for number in range(100)]}, ("queues",)),
        ({"queues": ["a", ""]}, ("queues", 1)),
        ({"queues": ["a b"]}, ("queues", 0)),
        ({"queues": ["a" * 129]}, ("queues", 0)),
    ],
)
async def test_what_a_worker_cannot_be_is_refused(client: Client, changes: Any, path: tuple[str | int, ...]) -> None:
    session = await client.broker.open_session(make_worker_info())
    with pytest.raises(InvalidOption) as refused:
        await client.commands.worker.update(SYSTEM, session.id, **changes)
    assert refused.value.path == path
    assert (await get(client, session.id)).wish == WorkerWish()
    await client.commands.worker.update(SYSTEM, session.id, concurrency=10_000, queues=["a" * 128])
    await session.close()


async def test_whoever_may_only_read_changes_no_worker(client: Client) -> None:
    session = await client.broker.open_session(make_worker_info())
    commands = client.commands.worker
    for command in (commands.quiet, commands.resume, commands.stop):
        with pytest.raises(Forbidden):
            await command(READER, session.id)
    with pytest.raises(Forbidden):
        await commands.update(READER, session.id, concurrency=1)
    with pytest.raises(NotFound, match='no worker "nobody"'):
        await commands.quiet(SYSTEM, "nobody")
    await session.close()
