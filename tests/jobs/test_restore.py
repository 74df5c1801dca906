"""A database that is older than Redis: what became of the jobs since the backup, and which of them run again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from jobs import backup
from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import EnqueueRequest
from jobs.errors import BrokerUnavailable, EpochChanged
from jobs.job import State
from jobs.rescue import Rescue
from jobs.retention import Kind, Policy
from jobs.services import Services
from jobs.services.cleaner import Cleaner
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from jobs.store import Migrator
from jobs.viewer import SYSTEM
from tests.factories import make_settings
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.wait import until


@pytest.fixture
def settings(redis_url: str, database_url: str) -> dict[str, str]:
    return {"redis_url": redis_url, "database_url": database_url}


@asynccontextmanager
async def opened(settings: dict[str, str]) -> AsyncIterator[tuple[Client, Hand]]:
    """A client, and a worker and a recorder that do one step at a time."""
    client = await Client.open(make_settings(**settings))
    hand = None
    try:
        if not await client.broker.refresh_epoch():
            await turns(client)
            await client.commands.task.publish(registry.definitions())
        hand = await Hand.open(client, Recorder(client.store, client.broker))
        yield client, hand
    finally:
        if hand:
            await hand.close()
        await client.close()


async def turns(client: Client, recorder: Recorder | None = None, reconciler: Reconciler | None = None) -> None:
    """Let the loops of the services have their turns, until history and Redis are one."""
    recorder = recorder or Recorder(client.store, client.broker)
    reconciler = reconciler or Reconciler(client.store, client.broker)
    for _ in range(20):
        await reconciler.turn()
        await recorder.turn()
        number, run_id = await client.store.epoch.current()
        if run_id and number == client.broker.epoch and await client.broker.is_reconciled():
            break
    assert await client.broker.is_reconciled()
    await recorder.finish()


async def enqueue(client: Client, hand: Hand, **options: str) -> str:
    job_id = (await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop", **options))).job.id
    await until(lambda: not client.pusher.waiting)
    await hand.record()
    return job_id


async def states(client: Client, *ids: str) -> list[State | None]:
    found = await client.store.search.jobs_by_id(ids)
    known = {job.id: job.state for job in found.values()}
    return [known.get(job_id) for job_id in ids]


async def test_what_the_stream_tells_is_history_again(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        ended, running, waiting = [await enqueue(client, hand) for _ in range(3)]
        await backup.make(url, file)
        assert await hand.complete('"since"') == ended
        later = await enqueue(client, hand)
        held = await hand.start()
        assert held.id == running
        await hand.record()
        old = client.broker.epoch
        # Its end was recorded, so that Redis has forgotten it; the stream has not.
        await redis_client.delete(f"{{qq}}:job:{ended}", f"{{qq}}:done:{ended}")
    await backup.restore(url, file)
    async with opened(settings) as (client, hand):
        assert await states(client, ended, running, waiting, later) == [State.QUEUED, State.QUEUED, State.QUEUED, None]
        await turns(client)
        assert client.broker.epoch > old
        assert await states(client, ended, waiting, later) == [State.COMPLETED, State.QUEUED, State.QUEUED]
        job = (await client.store.search.jobs_by_id([ended]))[ended]
        assert (job.result, job.attempts) == ("since", 1)
        assert await client.broker.jobs([ended]) == {}  # it does not run again
        left = {await hand.complete() for _ in range(3)}
        assert left == {running, waiting, later}
        await hand.record()
        assert await states(client, ended, running, waiting, later) == [State.COMPLETED] * 4


async def test_what_the_stream_does_not_tell_runs_again(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        ended = await enqueue(client, hand)
        await backup.make(url, file)
        gone = await enqueue(client, hand)
        for job_id in (ended, gone):
            assert await hand.complete() == job_id
        later = await enqueue(client, hand)
        await hand.record()
        # The window is over: what is recorded has left Redis.
        await redis_client.delete(*(f"{{qq}}:{kind}:{job_id}" for kind in ("job", "done") for job_id in (ended, gone)))
        await redis_client.xtrim("{qq}:events", maxlen=1, approximate=False)
    await backup.restore(url, file)
    with capture_logs() as lines:
        async with opened(settings) as (client, hand):
            await turns(client)
            assert await states(client, ended, gone, later) == [State.QUEUED, None, State.QUEUED]
            assert {await hand.complete(), await hand.complete()} == {ended, later}
            await hand.record()
            assert await states(client, ended, later) == [State.COMPLETED] * 2
    said = {line["event"]: line for line in lines}
    assert said["store.adopted"]["jobs"] == 1
    assert "store.restored_with_a_gap" in said


async def test_redis_that_is_gone_as_well_is_filled(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        ids = {await enqueue(client, hand) for _ in range(5)}
        await backup.make(url, file)
        await enqueue(client, hand)
        old = client.broker.epoch
    await redis_client.flushall()
    await backup.restore(url, file)
    async with opened(settings) as (client, hand):
        await turns(client)
        assert client.broker.epoch > old
        assert {await hand.complete() for _ in range(5)} == ids


async def test_no_epoch_is_given_a_second_time(settings: dict[str, str], tmp_path: Path) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, _):
        await backup.make(url, file)
        for _ in range(3):
            number, _ = await client.store.epoch.current()
            raised = await client.store.epoch.raise_to(number, "another")
            await client.broker.raise_epoch(raised, cleared=False)
    await backup.restore(url, file)
    async with opened(settings) as (client, _):
        assert (await client.store.epoch.current()) == (raised, "")
        await turns(client)
        assert (await client.store.epoch.current())[0] == client.broker.epoch == raised + 1


async def test_the_loops_of_one_process_take_in_what_only_redis_has_once(
    settings: dict[str, str], tmp_path: Path
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        await backup.make(url, file)
        ids = [await enqueue(client, hand) for _ in range(5)]
    await backup.restore(url, file)
    client = await Client.open(make_settings(**settings))
    try:
        loops = Services(client.store, client.broker, client.settings).loops
        with capture_logs() as lines:
            await asyncio.gather(*(loop.turn() for loop in loops if isinstance(loop, Recorder | Reconciler)))
        assert await states(client, *ids) == [State.QUEUED] * 5
        assert [line["jobs"] for line in lines if line["event"] == "store.adopted"] == [5]
    finally:
        await client.close()


async def test_what_only_the_replaced_database_had_is_counted_and_left(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    large = EnqueueRequest(task="send_mail", args={"to": "x", "cc": ["y" * 20_000]})
    async with opened(settings) as (client, hand):
        holder = await enqueue(client, hand, key="k")
        await backup.make(url, file)
        assert await hand.complete() == holder
        await hand.record()
        again = await enqueue(client, hand, key="k")
        assert again != holder
        job_id = (await client.commands.job.enqueue(SYSTEM, large)).job.id
        await until(lambda: not client.pusher.waiting)
        await hand.record()
        await redis_client.delete(f"{{qq}}:job:{holder}", f"{{qq}}:done:{holder}")
        await redis_client.xtrim("{qq}:events", maxlen=1, approximate=False)
    await backup.restore(url, file)
    with capture_logs() as lines:
        async with opened(settings) as (client, hand):
            await turns(client)
            assert await states(client, holder, again, job_id) == [State.QUEUED, State.QUEUED, None]
            assert await enqueue(client, hand, key="k") == again  # it is the later of the two that has the key
            assert await client.broker.jobs([job_id]) == {}
            assert {await hand.complete(), await hand.complete()} == {holder, again}
    said = next(line for line in lines if line["event"] == "store.adopted")
    assert (said["jobs"], said["left"]) == (1, 1)


@pytest.mark.parametrize("dialect", ["postgres"])
async def test_services_that_go_on_over_a_forced_restore_take_in_what_only_redis_has(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        recorder, reconciler = Recorder(client.store, client.broker), Reconciler(client.store, client.broker)
        await redis_client.flushall()
        await turns(client, recorder, reconciler)  # they begin an epoch, and have looked for a restore by now
        await client.commands.task.publish(registry.definitions())
        await backup.make(url, file)
        job_id = await enqueue(client, hand)
        await backup.restore(url, file, force=True)
        await turns(client, recorder, reconciler)
        assert await states(client, job_id) == [State.QUEUED]
        assert list(await client.broker.jobs([job_id])) == [job_id]


async def test_a_database_that_was_lost_beside_redis_takes_in_what_redis_has(
    settings: dict[str, str], empty_url: str, dialect: str
) -> None:
    async with opened(settings) as (client, hand):
        waiting, held = await enqueue(client, hand), await enqueue(client, hand)
        await hand.start()
    await Migrator().migrate(empty_url)
    async with opened({**settings, "database_url": empty_url}) as (client, hand):
        await turns(client)
        assert await states(client, waiting, held) == [State.QUEUED, State.QUEUED]
        assert {await hand.complete(), await hand.complete()} == {waiting, held}
        await hand.record()
        assert await states(client, waiting, held) == [State.COMPLETED] * 2


async def test_nothing_is_rescued_before_history_knows_what_redis_tells(
    settings: dict[str, str], tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        job_id = (await client.commands.job.enqueue(SYSTEM, EnqueueRequest(task="noop"))).job.id
        await until(lambda: not client.pusher.waiting)
        await backup.make(url, file)
        assert await hand.complete() == job_id
        await hand.record()
        await redis_client.delete(f"{{qq}}:job:{job_id}", f"{{qq}}:done:{job_id}")
    await backup.restore(url, file)
    async with opened(settings) as (client, _):
        with pytest.raises(EpochChanged, match="restored"):
            await Rescue(client.store, client.broker, lambda: now_ms() + 60_000).everything(1.0)
        assert await client.broker.jobs([job_id]) == {}
        await turns(client)
        assert await states(client, job_id) == [State.COMPLETED]


async def test_nothing_is_cleaned_before_history_knows_what_redis_tells(
    settings: dict[str, str], tmp_path: Path
) -> None:
    url, file = settings["database_url"], tmp_path / "a.backup"
    async with opened(settings) as (client, hand):
        await enqueue(client, hand)
        job_id = await hand.kill()
        await hand.record()
        await client.store.retention.set(Policy(kind=Kind.DEAD, keep_s=0), now_ms=now_ms())
        await backup.make(url, file)
        assert (await client.commands.job.retry(SYSTEM, job_id)).run == 2
        await until(lambda: not client.pusher.waiting)
        await hand.record()
    await backup.restore(url, file)
    async with opened(settings) as (client, hand):
        cleaner = Cleaner(client.store, client.broker, replay_window_s=60.0)
        cleaner._grace_ms = 0
        recorder, reconciler = Recorder(client.store, client.broker), Reconciler(client.store, client.broker)
        await reconciler.turn()
        await recorder._adoption.settle()
        await cleaner.turn()
        with pytest.raises(BrokerUnavailable, match="restored"):
            await client.commands.retention.clean(SYSTEM, states=[State.DEAD])
        await turns(client, recorder, reconciler)
        assert await states(client, job_id) == [State.QUEUED]
        cleaner._due_s = 0.0
        await cleaner.turn()
        assert await hand.complete() == job_id
        await hand.record()
        assert await states(client, job_id) == [State.COMPLETED]
        await cleaner.finish()
