"""A Redis that is silent is noticed in time, said once, and used again when it is back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest
import redis.exceptions
from structlog.testing import capture_logs

from jobs import probe
from jobs.broker import Broker, Session, connection, lease
from jobs.errors import BrokerUnavailable
from jobs.event import Position
from jobs.probe import Health
from tests.factories import make_settings, make_vitals, make_worker_info
from tests.tcp_proxy import TcpProxy
from tests.wait import eventually, until

START = Position(1, 0, 0, 0)
PATIENCE_S = 0.8
"""Shorter than in production, and longer than a busy machine takes for any answer."""
ONE_WAIT_S = 1.5
"""Longer than one wait, shorter than two."""


@pytest.fixture
def proxy(redis_url: str) -> Iterator[TcpProxy]:
    with TcpProxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CALL_TIMEOUT_S", PATIENCE_S)


@pytest.fixture
async def far(proxy: TcpProxy, broker: Broker, impatient: None) -> AsyncIterator[Broker]:
    """A broker on the far side of the proxy; the other one has set the epoch."""
    far = await Broker.open(proxy.url, make_settings())
    yield far
    proxy.release()
    await far.close()


async def took_s(call: Coroutine[Any, Any, Any]) -> float:
    """Seconds until the call gives Redis up."""
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        await call
    return time.monotonic() - began


async def test_every_call_to_a_silent_redis_ends(far: Broker, proxy: TcpProxy) -> None:
    session = await far.open_session(make_worker_info())
    lane = session.lane(0)
    await lane.step([], 1, ["default"])
    await far.stream.read(START, 1, block_ms=10)
    await asyncio.to_thread(session.renew, make_vitals())
    proxy.hold()
    assert await took_s(far.now_ms()) < ONE_WAIT_S
    assert await took_s(far.stream.read(START, 1, block_ms=100)) < ONE_WAIT_S
    assert await took_s(far.wait_for_due(100)) < ONE_WAIT_S
    assert await took_s(asyncio.to_thread(session.renew, make_vitals())) < ONE_WAIT_S
    began = time.monotonic()
    await lane.wait(["default"], 5_000)
    assert time.monotonic() - began < ONE_WAIT_S
    proxy.release()
    async with asyncio.timeout(2 * ONE_WAIT_S):
        await lane.step([], 1, ["default"])
        await asyncio.to_thread(session.renew, make_vitals())
    await session.close()


async def test_connections_that_died_without_a_word_are_given_up(far: Broker, proxy: TcpProxy) -> None:
    session = await far.open_session(make_worker_info())
    lane = session.lane(0)
    await lane.step([], 1, ["default"])
    proxy.strand()
    async with asyncio.timeout(2 * ONE_WAIT_S):
        await lane.step([], 1, ["default"])
    await session.close()


async def test_connections_that_died_together_cost_one_wait(far: Broker, proxy: TcpProxy) -> None:
    await asyncio.gather(*(far.now_ms() for _ in range(10)))
    assert proxy.connections >= 10
    proxy.strand()
    assert await took_s(far.now_ms()) < ONE_WAIT_S
    began = time.monotonic()
    await asyncio.gather(*(far.now_ms() for _ in range(10)))
    assert time.monotonic() - began < PATIENCE_S
    session = await far.open_session(make_worker_info())
    await session.lane(0).step([], 1, ["default"])
    await far.stream.read(START, 1, block_ms=10)
    proxy.strand()
    with pytest.raises(BrokerUnavailable):
        await far.call("due", (1,))
    began = time.monotonic()
    await asyncio.gather(*(far.now_ms() for _ in range(5)))
    await far.stream.read(START, 1, block_ms=10)
    await session.lane(0).step([], 1, ["default"])
    assert time.monotonic() - began < PATIENCE_S
    proxy.strand()
    await session.lane(0).wait(["default"], 200)
    began = time.monotonic()
    await far.now_ms()
    assert time.monotonic() - began < PATIENCE_S
    await session.close()


async def test_an_outage_is_said_once_however_many_lanes_there_are(far: Broker, proxy: TcpProxy) -> None:
    session = await far.open_session(make_worker_info())
    with capture_logs() as lines:
        proxy.refuse()
        steps = [asyncio.create_task(session.lane(number).step([], 1, ["default"])) for number in range(5)]
        await until(lambda: lines)
        await asyncio.sleep(3 * connection.RETRY_S)  # each of them has tried again
        proxy.release()
        async with asyncio.timeout(5):
            await asyncio.gather(*steps)
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("broker.away", "warning"),
        ("broker.back", "info"),
    ]
    await session.close()


async def test_a_lane_does_not_wait_for_longer_than_silence_takes_to_notice(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection.BLOCK_MAX_MS < 1_000 * connection.CALL_TIMEOUT_S
    monkeypatch.setattr(lease, "BLOCK_MAX_MS", 50)
    began = time.monotonic()
    await session.lane(0).wait(["default"], 5_000)
    assert time.monotonic() - began < 2


def test_what_is_left_of_an_outage_is_not_another_one() -> None:
    moment = [0.0]
    outage = connection.Outage(lambda: moment[0])
    with capture_logs() as lines:
        for moment[0] in (0, 1, 3):  # each connection that died fails once more
            outage.began(BrokerUnavailable("silent"))
            outage.ended()
        assert [line["event"] for line in lines] == ["broker.away", "broker.back"]
        for moment[0] in range(4, 30):
            outage.began(BrokerUnavailable("silent again"))
    assert [line["event"] for line in lines] == ["broker.away", "broker.back", "broker.away"]


async def test_health_does_not_wait_for_a_silent_redis(
    far: Broker, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "ASK_S", 0.1)
    assert await until_well(far) == Health("broker", True, "Redis answers.")
    proxy.hold()
    assert not (await far.health()).ok
    proxy.release()
    await until_well(far)


async def until_well(broker: Broker) -> Health:
    async def well() -> Health | None:
        health = await broker.health()
        return health if health.ok else None

    return await eventually(well)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="The options are Linux's.")
async def test_the_kernel_looks_whether_an_idle_peer_is_there(far: Broker) -> None:
    await far.now_ms()
    held = await far.client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py decorates it
    writer = held._writer  # the socket's options show nowhere else
    assert writer
    peer = writer.get_extra_info("socket")
    try:
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            peer.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count < 5
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < 5_000
    finally:
        await far.client.connection_pool.release(held)


async def test_a_connection_that_is_closed_while_it_is_used_is_said_to_be(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await broker.client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # as above

    async def close() -> None:
        await held.disconnect(nowait=True)

    monkeypatch.setattr(held, "check_health", close)
    try:
        with pytest.raises(redis.exceptions.ConnectionError, match="The connection was closed"):
            await held.send_command("PING")
    finally:
        await broker.client.connection_pool.release(held)
