"""A Redis that is nearly full takes no new jobs in; those it has go on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs.broker import Broker, Finished, Push, Pushed, Session
from jobs.errors import QueueFull
from jobs.outcome import Complete
from tests.factories import make_settings, make_spec, make_worker_info


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def broker(broker: Broker, clock: Clock, redis_client: redis.asyncio.Redis) -> AsyncIterator[Broker]:
    broker.room._monotonic = clock
    yield broker
    await redis_client.config_set("maxmemory", "0")
    await redis_client.config_set("maxmemory-policy", "noeviction")


async def fill(redis_client: redis.asyncio.Redis, share: float) -> None:
    """Let Redis be so full."""
    used = (await redis_client.info("memory"))["used_memory"]
    await redis_client.config_set("maxmemory", str(int(used / share)))


async def test_new_jobs_are_refused_beyond_80_percent_and_old_ones_end(
    broker: Broker, clock: Clock, redis_client: redis.asyncio.Redis
) -> None:
    await broker.push([Push(spec=make_spec())])
    session = await broker.open_session(make_worker_info())
    await fill(redis_client, 0.85)
    clock.now += 1.1
    with pytest.raises(QueueFull, match=r"Redis is 8\d% full"):
        await broker.push([Push(spec=make_spec())])
    await finish_one(session)
    assert await broker.forget(await broker.stream.last()) == 1
    health = await broker.health()
    assert health.ok
    assert "full: jobs are taken in again below 80%" in health.detail
    await session.close()


async def test_there_is_room_again_a_second_later(
    broker: Broker, clock: Clock, redis_client: redis.asyncio.Redis
) -> None:
    await fill(redis_client, 0.9)
    with pytest.raises(QueueFull):
        await broker.push([Push(spec=make_spec())])
    await fill(redis_client, 0.5)
    with pytest.raises(QueueFull):
        await broker.push([Push(spec=make_spec())])
    clock.now += 1.0
    assert await broker.push([Push(spec=make_spec())]) == [Pushed.NEW]


async def test_what_is_pushed_within_the_second_counts(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await fill(redis_client, 0.7)
    used = (await redis_client.info("memory"))["used_memory"]
    jobs = [Push(spec=make_spec(args={"text": "x" * 10_000})) for _ in range(used // 10_000)]
    assert await broker.push(jobs[:1]) == [Pushed.NEW]
    with pytest.raises(QueueFull, match=r"8\d% full"):
        await broker.push(jobs)
    assert (await redis_client.info("memory"))["used_memory"] < used / 0.7


async def test_without_a_limit_there_is_always_room(broker: Broker) -> None:
    assert (await broker.room.look()).share == 0.0
    await broker.room.check()


async def test_a_policy_that_was_changed_while_it_ran_shows_in_health_and_once_in_the_log(
    broker: Broker, clock: Clock, redis_client: redis.asyncio.Redis
) -> None:
    assert (await broker.health()).ok
    await redis_client.config_set("maxmemory-policy", "allkeys-lru")
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 1.0
            health = await broker.health()
            assert (health.ok, "allkeys-lru" in health.detail) == (False, True)
    assert [line["policy"] for line in logs if line["event"] == "broker.evicts"] == ["allkeys-lru"]
    await redis_client.config_set("maxmemory-policy", "noeviction")
    clock.now += 1.0
    assert (await broker.health()).ok


async def test_start_is_possible_while_redis_is_nearly_full(
    broker: Broker, redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    await fill(redis_client, 0.9)
    other = await Broker.open(redis_url, make_settings())
    assert other.epoch in {0, broker.epoch}
    await other.close()


async def finish_one(session: Session) -> None:
    lane = session.lane(0)
    (job,) = (await lane.step([], 1, ["default"])).reserved
    assert await session.start([job]) == [True]
    assert (await lane.step([Finished(job.id, job.token, Complete("1"))], 0, ["default"])).stale == []
