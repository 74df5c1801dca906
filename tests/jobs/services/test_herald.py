"""Every process is heard of."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from jobs.broker import Broker
from jobs.broker.process import Processes
from jobs.probe import Health
from jobs.services import herald
from jobs.services.herald import Herald
from jobs.snapshot import BackupFigures, ProcessFigures, ProcessKind
from jobs.store import Store
from tests.factories import make_settings
from tests.tcp_proxy import TcpProxy


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    broker = await Broker.open(redis_url, make_settings())
    await broker.raise_epoch(1)
    yield broker
    await broker.close()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herald, "EVERY_S", 0.1)
    monkeypatch.setattr(herald, "TICK_S", 0.02)


async def said(broker: Broker, number: int = 1) -> list[ProcessFigures]:
    async with asyncio.timeout(10):
        while len(found := await Processes(broker).all()) != number:
            await asyncio.sleep(0.02)
    return found


async def test_a_process_says_how_it_is_until_it_ends(store: Store, broker: Broker) -> None:
    backups = BackupFigures(every_s=60, failing=True)
    speaker = Herald(ProcessKind.SERVICES, store, broker, backups=lambda: backups)
    speaker.start()
    (one,) = await said(broker)
    assert one.backups == backups
    assert (one.kind, one.host, one.pid) == ("SERVICES", socket.gethostname(), os.getpid())
    assert one.memory_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert one.cpu is not None
    figures = store.figures()
    assert one.pool is not None
    assert (one.pool.size, one.pool.size_max) == (figures.pool.size, figures.pool.max)
    assert 0 < one.pool.queries <= figures.since_start.count
    await speaker.stop()
    assert await said(broker, 0) == []


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_loop_that_was_late_says_so(store: Store, broker: Broker) -> None:
    speaker = Herald(ProcessKind.API, store, broker)
    speaker.start()
    await said(broker)
    time.sleep(0.5)  # noqa: ASYNC251  # what a process must not do
    async with asyncio.timeout(10):
        while ((await said(broker))[0].loop_lag_ms or 0) < 400:
            await asyncio.sleep(0.01)
        while ((await said(broker))[0].loop_lag_ms or 0) > 400:
            await asyncio.sleep(0.01)
    await speaker.stop()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_what_fails_is_said_at_once(store: Store, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herald, "EVERY_S", 60.0)
    parts = [Health("a", True, "All is well."), Health("b", True, "Here too.")]
    speaker = Herald(ProcessKind.SERVICES, store, broker, parts=lambda: parts)
    speaker.start()
    assert (await said(broker))[0].faults == ()
    for failing in (True, False):
        parts[1] = Health("b", not failing, "It is stuck.")
        async with asyncio.timeout(10):
            while (await said(broker))[0].faults != (("It is stuck.",) if failing else ()):
                await asyncio.sleep(0.02)
    await speaker.stop()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_slow_statements_are_written_down(store: Store, broker: Broker) -> None:
    store.slow.notice("SELECT 1", 5_000.0)
    speaker = Herald(ProcessKind.API, store, broker)
    speaker.start()
    async with asyncio.timeout(10):
        while [one.sql for one in await store.slow.worst()] != ["SELECT 1"]:
            await asyncio.sleep(0.02)
    await speaker.stop()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_worker_speaks_of_its_connections_only(store: Store, broker: Broker) -> None:
    speaker = Herald(ProcessKind.WORKER, store, broker)
    speaker.start()
    (one,) = await said(broker)
    assert (one.cpu, one.memory_bytes, one.loop_lag_ms) == (None, None, None)
    assert one.pool is not None
    await speaker.stop()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_it_goes_on_after_redis_was_away(store: Store, redis_url: str, broker: Broker) -> None:
    with TcpProxy(redis_url) as proxy:
        through = await Broker.open(proxy.url, make_settings())
        speaker = Herald(ProcessKind.API, store, through)
        speaker.start()
        await said(broker)
        proxy.refuse()
        await broker.client.flushdb()
        await broker.raise_epoch(2)
        await asyncio.sleep(0.3)
        assert speaker.health().ok
        proxy.release()
        await said(broker)
        await speaker.stop()
        await through.close()
