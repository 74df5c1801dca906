"""An acknowledged cancel is in the store before Redis hears of it, and holds whatever Redis loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs.broker import Cancelling, Finished
from jobs.client import Client
from jobs.clock import now_ms
from jobs.errors import InvalidState, StoreUnavailable
from jobs.event import CancelRequested
from jobs.job import Job, State
from jobs.outcome import Complete, Release
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from jobs.store import CancelRequest
from tests.factories import make_spec, make_worker_info
from tests.jobs.broker.watch import Story, dump, restore
from tests.jobs.commands.requests import HOUR_MS, OPERATOR, READER, enqueue
from tests.jobs.hand import Hand
from tests.jobs.services.conftest import limit
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import until

QUEUES = ["default"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this test alone, which keeps what it has when it is started again."""
    server = RedisServer(Path(tmp_path_factory.mktemp("s")), append_only=True)
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
async def hand(client: Client, server: RedisServer) -> AsyncIterator[Hand]:
    hand = await Hand.open(client, Recorder(client.store, client.broker))
    yield hand
    await hand.close()


async def pushed(client: Client, task: str = "noop", **fields: object) -> str:
    job_id = (await enqueue(client, task, **fields)).job.id
    await until(lambda: not client.pusher.waiting and client.pusher.pushed)
    return job_id


async def cancel(client: Client, job_id: str) -> Job:
    return await client.commands.job.cancel(OPERATOR, job_id)


async def reconcile(client: Client, *, later_ms: int = 0) -> None:
    await Reconciler(client.store, client.broker, clock=lambda: now_ms() + later_ms).turn()


async def reserved(client: Client) -> list[str]:
    session = await client.broker.open_session(make_worker_info("default"))
    found = [job.id for job in (await session.lane(0).step([], 10, QUEUES)).reserved]
    await session.close()
    return found


async def ended(client: Client, hand: Hand, job_id: str) -> Job:
    """Let the recorder read everything, and return the job as history has it."""
    await hand.record()
    job = await client.store.search.job(job_id)
    assert job
    return job


def come_back(server: RedisServer, copy: dict[bytes, tuple[int, bytes]]) -> None:
    """Replace Redis by an older copy, in a process that was started anew."""
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        restore(client, copy)


def copied(server: RedisServer) -> dict[bytes, tuple[int, bytes]]:
    with redis.Redis.from_url(server.url) as client:
        return dump(client)


async def test_a_waiting_job_that_was_cancelled_stays_so_when_redis_is_emptied_before_it_is_recorded(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    job_id, other = await pushed(client), await pushed(client)
    assert (await cancel(client, job_id)).state is State.CANCELLED
    server.flush()
    await reconcile(client)
    assert await reserved(client) == [other]
    assert (await ended(client, hand, job_id)).state is State.CANCELLED


async def test_a_running_job_that_was_to_be_cancelled_does_not_run_again_when_redis_is_emptied(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    job_id = await pushed(client)
    await hand.start()
    assert (await cancel(client, job_id)).cancel_requested
    await hand.record()
    server.flush()
    await reconcile(client)
    assert await reserved(client) == []
    job = await ended(client, hand, job_id)
    assert (job.state, job.cancel_requested, job.recoveries) == (State.CANCELLED, True, 1)


class Filler(Reconciler):
    """Loses the database once everything is pushed."""

    async def _cancel(self) -> None:
        raise StoreUnavailable("The database is away.")


async def test_what_is_pushed_again_and_was_to_be_cancelled_never_waits(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    job_id, other = await pushed(client), await pushed(client)
    await cancel(client, job_id)
    server.flush()
    with pytest.raises(StoreUnavailable):
        await Filler(client.store, client.broker).turn()
    assert await client.broker.is_reconciled()
    assert await reserved(client) == [other]
    assert (await ended(client, hand, job_id)).state is State.CANCELLED


class Interrupted(Reconciler):
    """Loses the database once jobs may be reserved."""

    async def _push_unfinished(self) -> int:
        raise StoreUnavailable("The database is away.")


async def test_an_older_copy_in_which_a_cancelled_job_waits_hands_it_to_nobody(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    job_id, other = await pushed(client), await pushed(client)
    copy = copied(server)
    assert (await cancel(client, job_id)).state is State.CANCELLED
    come_back(server, copy)
    with pytest.raises(StoreUnavailable):
        await Interrupted(client.store, client.broker).turn()
    assert await client.broker.is_prepared()
    assert await reserved(client) == [other]
    await reconcile(client)
    assert (await ended(client, hand, job_id)).state is State.CANCELLED


async def test_an_older_copy_in_which_a_job_runs_is_told_that_it_was_to_be_cancelled(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    job_id = await pushed(client)
    job = await hand.start()
    copy = copied(server)
    assert (await cancel(client, job_id)).cancel_requested
    come_back(server, copy)
    await reconcile(client)
    assert (await client.broker.jobs([job_id]))[job_id].cancel_requested
    # what would be another attempt is the end
    assert (await hand.session.lane(0).step([Finished(job_id, job.token, Release())], 0, QUEUES)).stale == []
    assert (await ended(client, hand, job_id)).state is State.CANCELLED


async def test_a_cancel_is_accepted_while_redis_is_away_and_done_when_it_is_back(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    waiting, late = await pushed(client), await pushed(client, scheduled_ms=now_ms() + HOUR_MS)
    running = (await hand.start()).id
    assert running == waiting
    server.kill()
    for job_id in (running, late):
        asked = await cancel(client, job_id)
        assert (asked.id, asked.cancel_requested) == (job_id, True)
        assert asked.state in (State.QUEUED, State.SCHEDULED)  # the recorder had read nothing
        shown = await client.queries.job.get(READER, job_id)
        assert shown is not None
        assert shown.cancel_requested
    server.start()
    for job_id in (running, late):
        found = await client.queries.job.get(READER, job_id)
        assert found is not None
        assert found.cancel_requested  # before anybody has told Redis
    await reconcile(client)
    live = await client.broker.jobs([running, late])
    assert (live[running].state, live[running].cancel_requested) == (State.ACTIVE, True)
    assert live[late].state is State.CANCELLED


async def test_every_turn_brings_what_is_to_be_cancelled_to_redis(
    client: Client, hand: Hand, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.services.reconciler.BATCH", 2)
    ids = [await pushed(client) for _ in range(5)]
    for job_id in ids:
        await client.store.cancel.ask(job_id)  # as if the process had died before it told Redis
    loop = Reconciler(client.store, client.broker)
    cancelled = []
    for _ in range(4):
        await loop.turn()
        live = await client.broker.jobs(ids)
        cancelled.append(sum(job.state is State.CANCELLED for job in live.values()))
    assert cancelled == [2, 4, 5, 5]
    assert await reserved(client) == []


async def test_what_never_reached_redis_is_taken_in_as_cancelled(client: Client, hand: Hand) -> None:
    spec = make_spec()
    await client.store.accept.accept(spec)
    await client.store.cancel.ask(spec.id)
    await reconcile(client)
    job = await ended(client, hand, spec.id)
    assert (job.state, job.attempts, job.recoveries) == (State.CANCELLED, 0, 0)
    assert await reserved(client) == []
    assert await client.broker.counts(QUEUES) == {"default": {}}


async def test_a_full_redis_does_not_keep_a_cancel_from_being_accepted(
    client: Client, hand: Hand, server: RedisServer
) -> None:
    spec = make_spec()
    await client.store.accept.accept(spec)
    limit(server, str(int((await client.broker.client.info("memory"))["used_memory"] / 0.9)))
    client.broker.room._memory = None
    asked = await cancel(client, spec.id)
    assert (asked.state, asked.cancel_requested) == (State.QUEUED, True)
    limit(server, "0")
    client.broker.room._memory = None
    await reconcile(client)
    assert (await ended(client, hand, spec.id)).state is State.CANCELLED


async def test_a_cancel_of_one_run_never_touches_the_next(client: Client, hand: Hand, server: RedisServer) -> None:
    job_id = await pushed(client)
    await cancel(client, job_id)
    await hand.record()
    again = await client.commands.job.retry(OPERATOR, job_id)
    assert (again.run, again.cancel_requested) == (2, False)
    await until(lambda: client.pusher.pushed == 2)
    assert await client.broker.cancel([job_id], [1]) == [Cancelling.FINAL]  # it was held up on its way
    await reconcile(client)
    shown = await client.queries.job.get(READER, job_id)
    assert shown is not None
    assert (shown.run, shown.state, shown.cancel_requested) == (2, State.QUEUED, False)
    server.flush()
    await reconcile(client)
    assert await reserved(client) == [job_id]


async def test_a_cancel_of_a_run_that_redis_does_not_have_yet_leaves_the_one_before_alone(
    client: Client, hand: Hand
) -> None:
    job_id = await pushed(client)
    assert await client.broker.cancel([job_id], [2]) == [Cancelling.UNKNOWN]
    assert await hand.complete() == job_id


async def test_two_cancels_at_once_are_one(client: Client, hand: Hand, server: RedisServer) -> None:
    job_id = await pushed(client)
    await hand.start()
    answers = await asyncio.gather(*(cancel(client, job_id) for _ in range(10)))
    assert {(job.state, job.cancel_requested) for job in answers} == {(State.ACTIVE, True)}
    with redis.Redis.from_url(server.url) as sync:
        events = [event for _, event in Story().read(sync)]
    assert sum(isinstance(event, CancelRequested) for event in events) == 1
    assert await client.store.cancel.requested(after_id="", limit=10) == [CancelRequest(job_id, 1)]


async def test_what_has_ended_is_not_to_be_cancelled(client: Client, hand: Hand, server: RedisServer) -> None:
    job_id = await pushed(client)
    await hand.finish(await hand.start(), Complete("1"))
    await hand.record()
    server.kill()
    with pytest.raises(InvalidState, match="COMPLETED"):  # history is enough for that
        await cancel(client, job_id)
    server.start()
    assert await client.store.cancel.requested(after_id="", limit=10) == []
    job = await client.store.search.job(job_id)
    assert job
    assert not job.cancel_requested
