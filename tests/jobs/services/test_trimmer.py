"""The stream stays within its bounds: the window gives way first, then nothing is started; nothing unrecorded goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs.broker import Broker, Finished, Push, keys
from jobs.client import Client
from jobs.errors import StoreUnavailable
from jobs.event import START, Position
from jobs.job import Durability, State
from jobs.outcome import Complete
from jobs.services import trimmer as module
from jobs.services.recorder import Recorder
from jobs.services.scheduler import Scheduler
from jobs.services.trimmer import Trimmer
from jobs.store import Store
from jobs.task import Registry, task
from jobs.where import JobWhere
from jobs.worker import Engine
from tests.factories import make_spec, make_worker_info
from tests.wait import eventually, until

CAP = 200_000
registry = Registry()


@task(registry=registry)
async def chat() -> str:
    return "x" * 1_000


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_S", 0.05)
    monkeypatch.setattr(module, "SHORTEST_MS", 0)


def make_trimmer(client: Client, **more: Any) -> Trimmer:
    return Trimmer(client.store, client.broker, **({"replay_window_s": 600.0, "max_bytes": CAP} | more))


@pytest.fixture
async def running() -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Starts loops and workers, which are stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(*items: Any) -> None:
            for item in items:
                started = item.start()
                if started is not None:
                    await started
                stack.push_async_callback(item.stop)

        yield start


async def accept(client: Client, count: int) -> list[str]:
    """Take jobs in as `enqueue` does."""
    specs = [make_spec("chat") for _ in range(count)]
    await client.store.accept.accept_many(specs)
    await client.broker.push([Push(spec=spec) for spec in specs])
    return [spec.id for spec in specs]


async def completed(store: Store, count: int) -> None:
    async def so_many() -> bool:
        return (await store.search.count(JobWhere(states=(State.COMPLETED,)), limit=count + 1)).value >= count

    await eventually(so_many, within_s=30)


async def holds(client: Client) -> bool:
    return bool(await client.broker.client.exists(keys.BEHIND))


async def test_a_recorder_that_is_away_stops_new_jobs_until_it_has_caught_up(
    client: Client, running: Callable[..., Awaitable[None]]
) -> None:
    jobs = await accept(client, 2_000)
    trimmer, engine = make_trimmer(client), Engine(client.broker, registry, client.settings)
    with capture_logs() as logs:
        await running(trimmer, Scheduler(client.broker), engine)
        await until(lambda: not trimmer.health().ok)
        assert "until the recorder has caught up" in trimmer.health().detail
        assert "No jobs are started until the recorder" in (await client.broker.health()).detail
        seen = await counts(client.broker)
        assert seen[State.QUEUED] > 0
        stream = [event.job for _, event in await client.broker.stream.read(START, 100_000)]
        assert set(stream) == set(jobs)

        async def none_runs() -> bool:
            return not (await counts(client.broker)).get(State.ACTIVE)

        await eventually(none_runs)
        left = (await counts(client.broker))[State.QUEUED]
        assert left >= seen[State.QUEUED] - 100  # those of one last step
        await running(Recorder(client.store, client.broker))
        await completed(client.store, len(jobs))
        await until(lambda: trimmer.health().ok)
    assert not await holds(client)
    said = [line["event"] for line in logs if line["event"] in {"trimmer.holds", "trimmer.lets_go"}]
    assert said == ["trimmer.holds", "trimmer.lets_go"] * (len(said) // 2)
    for attempts in (await client.store.search.attempts(jobs[:500])).values():
        assert [attempt.number for attempt in attempts] == [1]


async def counts(broker: Broker) -> dict[State, int]:
    return {State.QUEUED: 0} | (await broker.counts(["default"]))["default"]


async def test_jobs_that_run_may_end_while_nothing_is_started(client: Client) -> None:
    await client.broker.hold(5_000)
    (first,) = await accept(client, 1)
    session = await client.broker.open_session(make_worker_info())
    step = await session.lane(0).step([], 1, ["default"])
    assert (step.reserved, step.wait_ms) == ([], 1_000)
    await client.broker.hold(0)
    (job,) = (await session.lane(0).step([], 1, ["default"])).reserved
    await session.start([job])
    await client.broker.hold(5_000)
    step = await session.lane(0).step([Finished(job.id, job.token, Complete("1"))], 1, ["default"])
    assert step.stale == []
    assert (await client.broker.jobs([first]))[first].state is State.COMPLETED
    await session.close()


async def test_the_cap_cuts_the_window_only(client: Client, running: Callable[..., Awaitable[None]]) -> None:
    await running(Recorder(client.store, client.broker), Engine(client.broker, registry, client.settings))
    await accept(client, 500)
    await completed(client.store, 500)
    size = await client.broker.stream.size_bytes()
    assert size > CAP
    patient = make_trimmer(client, max_bytes=10_000_000)
    await patient.turn()
    assert await client.broker.stream.size_bytes() == size
    trimmer = make_trimmer(client)
    await trimmer.turn()
    assert await client.broker.stream.size_bytes() < CAP
    assert not await holds(client)


async def test_what_is_older_than_the_window_goes(client: Client, running: Callable[..., Awaitable[None]]) -> None:
    await running(Recorder(client.store, client.broker), Engine(client.broker, registry, client.settings))
    await accept(client, 500)
    await completed(client.store, 500)
    before = await client.broker.client.xlen(keys.EVENTS)
    await make_trimmer(client, replay_window_s=0.0, max_bytes=100_000_000).turn()
    assert await client.broker.client.xlen(keys.EVENTS) < before


async def test_while_the_database_is_away_the_last_known_place_holds(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmer = make_trimmer(client)
    await trimmer.turn()

    async def away() -> Position:
        raise StoreUnavailable("The database does not answer.")

    await client.broker.push(
        [Push(spec=make_spec(args={"text": "x" * 10_000}, durability=Durability.MEMORY)) for _ in range(60)]
    )
    monkeypatch.setattr(client.store.history, "position", away)
    await trimmer.turn()
    assert await holds(client)
    assert len(await client.broker.stream.read(START, 1_000)) == 60
    monkeypatch.undo()
    await Recorder(client.store, client.broker).finish()
    await trimmer.turn()
    assert not await holds(client)


async def test_a_new_process_lets_go_of_what_another_one_held(client: Client) -> None:
    await client.broker.hold(30_000)
    await make_trimmer(client).turn()
    assert not await holds(client)


async def test_a_small_redis_has_a_smaller_cap(client: Client, redis_client: redis.asyncio.Redis) -> None:
    trimmer = make_trimmer(client, max_bytes=100_000_000)
    assert await trimmer._cap() == 100_000_000
    client.broker.room._memory = None
    await redis_client.config_set("maxmemory", "80mb")
    try:
        assert await trimmer._cap() == 20 * 1024 * 1024
    finally:
        await redis_client.config_set("maxmemory", "0")


async def test_a_full_redis_can_be_held(client: Client, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.config_set("maxmemory", "1mb")
    try:
        await client.broker.hold(5_000)
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert await holds(client)
    assert 0 < await redis_client.pttl(keys.BEHIND) <= 5_000
