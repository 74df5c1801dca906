"""What Redis says of itself, and how far behind the recorder is, against the sources."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import redis.asyncio

from jobs.broker import Broker, Push, figures, keys
from jobs.broker.figures import recorder_lag, redis_figures, stream_figures
from jobs.errors import BrokerUnavailable
from jobs.event import START, Position
from tests.factories import make_settings, make_spec
from tests.redis_server import RedisServer


async def push(broker: Broker, number: int) -> None:
    await broker.push([Push(spec=make_spec()) for _ in range(number)])


async def test_the_figures_are_those_of_info(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await redis_client.mset({f"k{number}": "v" for number in range(5)})
    await redis_client.config_resetstat()
    assert (await redis_figures(broker)).hit_rate is None
    for key in ("k0", "k1", "k2", "nothing"):
        await redis_client.get(key)
    await redis_client.config_set("maxmemory", "1gb")
    try:
        said, info = await redis_figures(broker), await redis_client.info()
    finally:
        await redis_client.config_set("maxmemory", "0")
    assert said.connected
    assert said.hit_rate == 0.75
    assert said.keys == await redis_client.dbsize()
    assert said.connections == info["connected_clients"]
    assert said.memory_used_bytes == pytest.approx(info["used_memory"], rel=0.05)
    assert said.memory_max_bytes == 1024**3
    assert said.evicted == info["evicted_keys"] == 0
    assert said.policy == "noeviction"
    assert said.append_only == bool(info["aof_enabled"])
    assert info["uptime_in_seconds"] - 1 <= (said.uptime_s or 0) <= info["uptime_in_seconds"]
    assert said.operations_per_s is not None
    assert (await redis_figures(broker)).memory_max_bytes is None


async def test_a_redis_that_is_away_has_no_figures(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    broker = await Broker.open(server.url, make_settings())
    server.stop()
    with pytest.raises(BrokerUnavailable):
        await redis_figures(broker)
    with pytest.raises(BrokerUnavailable):
        await recorder_lag(broker, START)
    with pytest.raises(BrokerUnavailable):
        await stream_figures(broker)
    await broker.close()


async def test_the_lag_is_what_lies_behind_the_position(broker: Broker) -> None:
    assert (await recorder_lag(broker, Position(1, 0, 0, 0))).events == 0
    await push(broker, 3)
    reading = await broker.stream.scan(START, 100)
    first = reading.events[0][0]
    await push(broker, 2)
    behind, stream = await recorder_lag(broker, START), await stream_figures(broker)
    assert (behind.events, stream.stream_entries) == (5, 2)
    assert stream.stream_bytes == await broker.stream.size_bytes()
    now = await broker.now_ms()
    assert 0 <= behind.ms <= now - first.ms
    assert (await recorder_lag(broker, first)).events == 4
    assert (await recorder_lag(broker, reading.end)).events == 2
    end = (await broker.stream.scan(START, 100)).end
    assert await recorder_lag(broker, end) == (0, 0)
    assert not (await stream_figures(broker)).holding


async def test_the_lag_is_counted_up_to_a_bound(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_PAGE", 2)
    for _ in range(5):
        await push(broker, 3)
    assert (await recorder_lag(broker, START)).events == 15
    monkeypatch.setattr(figures, "LAG_MAX", 7)
    assert (await recorder_lag(broker, START)).events == 7


async def test_after_a_loss_all_that_is_there_is_new(broker: Broker) -> None:
    await push(broker, 1)
    old = (await broker.stream.scan(START, 100)).end
    await broker.raise_epoch(2)
    assert (await recorder_lag(broker, msgspec.structs.replace(old, ms=old.ms + 10**6))).events == 1


async def test_an_entry_that_cannot_be_read_waits_as_one(broker: Broker, redis_client: redis.asyncio.Redis) -> None:
    await push(broker, 2)
    await redis_client.xadd(keys.EVENTS, {"e": b"\xc1"})
    await redis_client.xadd(keys.EVENTS, {"x": b""})
    assert (await recorder_lag(broker, START)).events == 4


async def test_it_is_told_that_no_jobs_are_started(broker: Broker) -> None:
    await broker.hold(60_000)
    assert (await stream_figures(broker)).holding
