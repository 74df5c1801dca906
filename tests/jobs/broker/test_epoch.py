"""Which Redis is believed: a start, a restart, an older copy, another epoch."""

from __future__ import annotations

import pytest
import redis.asyncio

from jobs.broker import Broker, Push, Pushed, keys
from jobs.errors import EpochChanged, RedisEvicts, RedisUnreachable
from tests.factories import make_settings, make_spec
from tests.jobs.broker.steps import events, push


async def test_an_older_copy_of_redis_is_not_believed(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await broker.raise_epoch(3)
    await redis_client.set(keys.EPOCH, 2)
    with pytest.raises(EpochChanged):
        await push(broker)
    assert broker.epoch == 3


async def test_old_epoch_changes_nothing(broker: Broker, redis_url: str) -> None:
    other = await Broker.open(redis_url, make_settings())
    await other.raise_epoch(2)
    await other.client.flushall()
    with pytest.raises(EpochChanged):
        await broker.push([Push(spec=make_spec())])
    assert await other.client.dbsize() == 0
    await other.raise_epoch(3)
    assert await broker.push([Push(spec=make_spec())]) == [Pushed.NEW]
    assert broker.epoch == 3
    assert (await events(broker))[0].version == 3_000_000
    await other.close()


async def test_start_is_refused_with_an_eviction_policy(redis_url: str, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(RedisEvicts, match="allkeys-lru"):
            await Broker.open(redis_url, make_settings())
    finally:
        await redis_client.config_set("maxmemory-policy", "noeviction")


async def test_start_is_refused_without_redis() -> None:
    with pytest.raises(RedisUnreachable, match=r"redis://\*\*\*@127.0.0.1:1"):
        await Broker.open("redis://:secret@127.0.0.1:1", make_settings())


async def test_waiting_after_a_restart_does_not_read_the_stream_again_and_again(broker: Broker) -> None:
    for _ in range(5):
        await push(broker)
    last = await broker.stream.last()
    await broker.raise_epoch(2)
    assert await broker.stream.read(last, 100) == []
    await broker.client.config_resetstat()
    assert await broker.stream.read(last, 100, block_ms=200) == []
    assert (await broker.client.info("commandstats"))["cmdstat_xrange"]["calls"] <= 2
    await push(broker)
    assert len(await broker.stream.read(last, 100, block_ms=200)) == 1
