"""Snapshots are taken in time, once, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from jobs.broker import Broker
from jobs.client import Client
from jobs.clock import Clock, now_ms
from jobs.collectors import Collectors
from jobs.ending import end
from jobs.page import PageRequest
from jobs.services import Services
from jobs.services.snapshotter import Snapshotter
from jobs.snapshot import ProcessKind, Snapshot
from jobs.store import Store
from tests.factories import make_settings
from tests.tcp_proxy import TcpProxy

LEASE_MS = 600
Made = Callable[..., Awaitable[Snapshotter]]


@pytest.fixture
async def make(redis_url: str, database_url: str) -> AsyncIterator[Made]:
    """Makes the snapshotters of processes of their own."""
    made: list[tuple[Snapshotter, Store, Broker]] = []

    async def make(
        *, every_s: float = 300.0, clock: Clock = now_ms, redis: str = redis_url, timeout_s: float = 5.0
    ) -> Snapshotter:
        store, broker = await Store.open(database_url), await Broker.open(redis, make_settings())
        await broker.raise_epoch(1)
        collectors = Collectors(store, broker, clock, timeout_s=timeout_s)
        snapshotter = Snapshotter(store, collectors, every_s=every_s, clock=clock)
        snapshotter.leadership._lease_ms = LEASE_MS
        made.append((snapshotter, store, broker))
        return snapshotter

    yield make
    for snapshotter, store, broker in made:
        await snapshotter.stop()
        await broker.close()
        await store.close()


async def rows(store: Store) -> list[int]:
    """Slots of all snapshots, the oldest first."""
    found = await store._database.fetch("SELECT slot_ms FROM system_health_snapshots ORDER BY id")
    return [row["slot_ms"] for row in found]


async def until_rows(store: Store, number: int) -> list[int]:
    async with asyncio.timeout(10):
        while len(found := await rows(store)) < number:
            await asyncio.sleep(0.02)
    return found


async def taken(store: Store) -> list[Snapshot]:
    return (await store.snapshots.page(PageRequest())).items


async def test_one_is_taken_at_the_start_and_then_at_each_slot(make: Made) -> None:
    snapshotter = await make(every_s=0.3)
    began_ms = now_ms()
    snapshotter.start()
    start, *slots = await until_rows(snapshotter._store, 4)
    assert began_ms <= start <= began_ms + 2_000
    assert [slot % 300 for slot in slots] == [0, 0, 0]
    assert slots == sorted(set(slots))
    snapshots = await taken(snapshotter._store)
    assert all(0 <= one.at_ms - slot < 300 for one, slot in zip(snapshots[-2::-1], slots, strict=False))
    assert snapshots[0].faults == {}
    assert snapshots[0].notifications is None


async def test_the_first_one_knows_who_takes_it(client: Client) -> None:
    services = Services(client.store, client.broker, client.settings)
    services.start()
    try:
        await until_rows(client.store, 1)
    finally:
        await services.stop()
    (first,) = await taken(client.store)
    assert first.faults == {}
    assert first.processes is not None
    assert [one.kind for one in first.processes.each] == [ProcessKind.SERVICES]


async def test_two_that_believe_to_lead_take_one_for_each_slot(make: Made) -> None:
    time_ms = 1_000_000_123
    pair = [await make(clock=lambda: time_ms) for _ in range(2)]
    await pair[0].lead()  # at its own start
    time_ms += 7
    await pair[1].lead()
    for _ in range(3):
        time_ms += 300_000
        assert await asyncio.gather(*(one.lead() for one in pair)) == [199.87, 199.87]
    begun = time_ms - 900_000
    slots = [begun // 300_000 * 300_000 + number * 300_000 for number in (1, 2, 3)]
    assert await rows(pair[0]._store) == [begun - 7, begun, *slots]


async def test_another_one_goes_on_where_the_leader_dies(make: Made) -> None:
    pair = [await make(every_s=0.2) for _ in range(2)]
    pair[0].start()
    store = pair[0]._store
    await until_rows(store, 2)
    pair[1].start()
    await until_rows(store, 5)
    assert pair[1]._next_ms is None
    await end(pair[0]._task)  # it gives nothing back
    number = len(await rows(store))
    await until_rows(store, number + 3)
    assert pair[1]._next_ms is not None


async def test_what_redis_does_not_say_is_missing_and_the_snapshot_is_taken(make: Made, redis_url: str) -> None:
    time_ms = 1_000_000_123
    with TcpProxy(redis_url) as proxy:
        snapshotter = await make(redis=proxy.url, clock=lambda: time_ms)
        proxy.refuse()
        await snapshotter.lead()
        proxy.release()
        time_ms += 300_000
        await snapshotter.lead()
    after, before = await taken(snapshotter._store)
    assert (before.workers, before.database is None) == (None, False)
    assert "redis" in before.faults
    assert after.faults == {}


async def test_while_the_database_is_away_snapshots_are_lost_and_the_next_one_is_taken(make: Made) -> None:
    time_ms = 1_000_000_123
    snapshotter = await make(clock=lambda: time_ms, timeout_s=0.5)
    database = snapshotter._store._database
    await snapshotter.lead()
    await database.close()
    with capture_logs() as lines:
        for _ in range(3):
            time_ms += 300_000
            await snapshotter.lead()
    await database.connect()
    time_ms += 300_000
    await snapshotter.lead()
    assert await rows(snapshotter._store) == [1_000_000_123, 1_001_100_000]
    assert [line["event"] for line in lines].count("snapshotter.lost") == 1


async def test_a_timer_that_is_early_takes_nothing_and_a_late_one_takes_its_slot(make: Made) -> None:
    time_ms = 1_000_000_123
    snapshotter = await make(clock=lambda: time_ms)
    await snapshotter.lead()
    time_ms = 1_000_199_999
    assert await snapshotter.lead() == 0.001
    time_ms = 1_000_200_700
    assert await snapshotter.lead() == 299.3
    time_ms = 1_001_000_000  # nobody led for a while
    await snapshotter.lead()
    time_ms = 990_000_000  # the clock was put back
    await snapshotter.lead()
    assert await rows(snapshotter._store) == [1_000_000_123, 1_000_200_000, 1_000_800_000, 990_000_000]
