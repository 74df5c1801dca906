"""Jobs that retention has removed from history, where Redis comes back as it was before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs.client import Client
from jobs.clock import now_ms
from jobs.job import State
from jobs.outcome import Complete
from jobs.retention import DAY_S
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from tests.factories import make_worker_info
from tests.jobs.broker.watch import dump, restore
from tests.jobs.commands.requests import enqueue
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import until


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(Path(tmp_path_factory.mktemp("s")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(open_client: Callable[..., Awaitable[Client]], server: RedisServer) -> Client:
    client = await open_client(redis_url=server.url)
    await client.commands.task.publish(registry.definitions())
    await client.broker.set_reconciled(client.broker.epoch)
    return client


@pytest.fixture
async def hand(client: Client) -> AsyncIterator[Hand]:
    hand = await Hand.open(client, Recorder(client.store, client.broker))
    yield hand
    await hand.close()


async def test_an_older_copy_hands_nobody_what_has_ended_and_was_removed(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    ids = (await enqueue(client)).job.id, (await enqueue(client)).job.id
    await until(lambda: not client.pusher.waiting and client.pusher.pushed == 2)
    held = await hand.start()
    with redis.Redis.from_url(server.url) as other:
        copy = dump(other)
    await hand.finish(held, Complete("1"))
    assert await hand.complete() in ids
    waiting = (await enqueue(client)).job.id
    await hand.record()
    later_ms = now_ms() + DAY_S * 1000
    clean = client.store.retention.clean([], [State.COMPLETED], older_s=0, now_ms=later_ms, grace_ms=60_000)
    assert sum([batch async for batch in clean]) == 2
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as other:
        restore(other, copy)
    await Reconciler(client.store, client.broker, clock=lambda: later_ms).turn()
    session = await client.broker.open_session(make_worker_info("default"))
    again = [job.id for job in (await session.lane(0).step([], 10, ["default"])).reserved]
    await session.close()
    assert again == [waiting]
    assert await client.broker.jobs(ids) == {}
    assert await client.broker.counts(["default"]) == {"default": {State.QUEUED: 1}}


@pytest.mark.parametrize("task", ["fleeting", "noop"], ids=["not recorded yet", "lost by the database a moment ago"])
async def test_what_history_does_not_know_is_not_always_removed(client: Client, server: RedisServer, task: str) -> None:
    job_id = (await enqueue(client, task)).job.id
    await until(lambda: not client.pusher.waiting)
    async with client.store._database.transaction() as transaction:  # nothing that the store offers does this
        await transaction.execute("DELETE FROM job WHERE id = $1", (job_id,))
    with redis.Redis.from_url(server.url) as other:
        copy = dump(other)
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as other:
        restore(other, copy)
    await Reconciler(client.store, client.broker).turn()
    assert list(await client.broker.jobs([job_id])) == [job_id]
