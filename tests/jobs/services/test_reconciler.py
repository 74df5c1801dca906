"""What the reconciler finds by comparing history with Redis, on its timers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs import rescue
from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import EnqueueRequest
from jobs.errors import StoreUnavailable
from jobs.job import State
from jobs.services import reconciler
from jobs.services.reconciler import Reconciler
from jobs.viewer import SYSTEM
from tests.factories import make_spec
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.wait import until


@pytest.fixture
async def client(open_client: Callable[..., Awaitable[Client]]) -> Client:
    client = await open_client()
    await client.commands.task.publish(registry.definitions())
    await client.broker.set_reconciled(client.broker.epoch)
    return client


class HeldUp(Reconciler):
    """Is held up where it has found what ended, and loses the database then."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.store, client.broker)
        self.found, self.goes_on = asyncio.Event(), asyncio.Event()

    async def _discard_ended(self) -> int:
        discarded = await super()._discard_ended()
        self.found.set()
        await self.goes_on.wait()
        return discarded

    async def _push_unfinished(self) -> int:
        raise StoreUnavailable("The database is away.")


async def recorded(client: Client, hand: Hand, count: int) -> list[str]:
    """Enqueue jobs that wait, and that history knows to be in Redis."""
    ids = [(await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop"))).job.id for _ in range(count)]
    await until(lambda: not client.pusher.waiting)
    await hand.record()
    return ids


async def lose(redis_client: redis.asyncio.Redis, ids: list[str]) -> None:
    await redis_client.delete(*(f"{{qq}}:job:{job_id}" for job_id in ids))


async def test_what_never_arrived_is_pushed_after_a_while(client: Client) -> None:
    spec = make_spec()
    await client.store.accept.accept(spec)
    await Reconciler(client.store, client.broker).turn()
    assert await client.broker.jobs([spec.id]) == {}  # it is the pusher's still
    with capture_logs() as logs:
        await Reconciler(client.store, client.broker, clock=lambda: now_ms() + 16_000).turn()
    assert (await client.broker.jobs([spec.id]))[spec.id].recoveries == 0
    assert [(entry["event"], entry["jobs"]) for entry in logs] == [("reconciler.pushed", 1)]


async def test_everything_is_compared_from_time_to_time_one_batch_a_turn(
    client: Client, hand: Hand, redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "BATCH", 2)
    ids = await recorded(client, hand, 5)
    await lose(redis_client, ids)
    loop = Reconciler(client.store, client.broker)
    await loop.turn()
    assert await client.broker.jobs(ids) == {}  # not yet time for it
    loop._compared_at -= reconciler.COMPARE_EVERY_S
    with capture_logs() as logs:
        back = []
        for _ in range(4):
            await loop.turn()
            await hand.record()
            back.append(len(await client.broker.jobs(ids)))
    assert back == [2, 4, 5, 5]
    assert [entry["jobs"] for entry in logs if entry["event"] == "reconciler.rescued"] == [
        {"MISSING": 2},
        {"MISSING": 2},
        {"MISSING": 1},
    ]
    for _ in ids:
        await hand.complete()
    await hand.record()
    assert {job.state for job in (await client.store.search.jobs_by_id(ids)).values()} == {State.COMPLETED}


async def test_two_that_compare_at_the_same_time_put_nothing_back_twice(
    client: Client, hand: Hand, redis_client: redis.asyncio.Redis
) -> None:
    ids = await recorded(client, hand, 3)
    await lose(redis_client, ids)
    loops = [Reconciler(client.store, client.broker) for _ in range(3)]
    for loop in loops:
        loop._compared_at -= reconciler.COMPARE_EVERY_S
    with capture_logs() as logs:
        await asyncio.gather(*(loop.turn() for loop in loops))
    assert sum(entry["jobs"]["MISSING"] for entry in logs if entry["event"] == "reconciler.rescued") == 3
    assert {job.recoveries for job in (await client.broker.jobs(ids)).values()} == {1}


async def test_what_one_did_in_an_earlier_epoch_does_not_keep_workers_from_reserving_for_ever(client: Client) -> None:
    first, second = HeldUp(client), Reconciler(client.store, client.broker)
    await client.broker.set_reconciled(0)
    held_up = asyncio.create_task(first.turn())
    await first.found.wait()
    await client.broker.raise_epoch(2, cleared=False)
    await client.store.epoch.raise_to(1, await client.broker.run_id())
    await second.turn()
    first.goes_on.set()
    with pytest.raises(StoreUnavailable):
        await held_up
    await second.turn()
    for name in ("cleared", "reconciled"):
        assert await client.broker.client.get(f"{{qq}}:{name}") == b"2"
