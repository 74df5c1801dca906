"""Jobs whose record in Redis is damaged: they are set aside, and nothing stops for them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from jobs.broker import Broker, Cancelling, Finished, Push, Pushed, Report, Reserved, Session, keys
from jobs.client import Client
from jobs.event import START, Quarantined
from jobs.job import Failure, JobSpec, Progress, State
from jobs.outcome import Complete, RetryLater
from jobs.services.reconciler import Reconciler
from tests.factories import make_spec
from tests.jobs.broker.steps import QUEUES, finish, let_leases_run_out, push, reserve_one, start_one
from tests.jobs.hand import Hand

Damage = Callable[[redis.asyncio.Redis, str], Awaitable[Any]]


async def _becomes_text(client: redis.asyncio.Redis, key: str) -> None:
    await client.set(key, b"no \xff hash")


async def _becomes_list(client: redis.asyncio.Redis, key: str) -> None:
    await client.delete(key)
    await client.rpush(key, "a", "b")


async def content(client: redis.asyncio.Redis, key: str) -> Any:
    read: dict[bytes, Any] = {
        b"hash": client.hgetall,
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    return await read[await client.type(key)](key)


def _loses(name: str) -> Damage:
    return lambda client, key: client.hdel(key, name)


def _gets(name: str, value: str | bytes) -> Damage:
    return lambda client, key: client.hset(key, name, value)


DAMAGES: dict[str, Damage] = {
    "another type": _becomes_text,
    "yet another type": _becomes_list,
    "no version": _loses("v"),
    "no run": _loses("r"),
    "no state": _loses("s"),
    "no queue": _loses("q"),
    "no token": _loses("n"),
    "crashes are no number": _gets("c", "many"),
    "attempts are less than none": _gets("a", "-1"),
    "a fraction": _gets("g", "1.5"),
    "a number that is too large": _gets("v", "9" * 30),
    "infinity": _gets("r", "inf"),
    "no such priority": _gets("p", "7"),
    "no such state": _gets("s", "LOST"),
    "not even text": _gets("d", b"\xff\xfe"),
    "no session": _loses("w"),
}


async def _queued(broker: Broker, _session: Session) -> tuple[str, None]:
    return await push(broker), None


async def _scheduled(broker: Broker, _session: Session) -> tuple[str, None]:
    return await push(broker, scheduled_ms=await broker.now_ms() + 5_000), None


async def _reserved(broker: Broker, session: Session) -> tuple[str, Reserved]:
    job_id = await push(broker)
    return job_id, await reserve_one(session)


async def _active(broker: Broker, session: Session) -> tuple[str, Reserved]:
    job_id = await push(broker)
    return job_id, await start_one(session)


async def _ended(broker: Broker, session: Session) -> tuple[str, Reserved]:
    job_id, job = await _active(broker, session)
    await finish(session, job, Complete("1"))
    return job_id, job


async def _step(broker: Broker, session: Session, _id: str, _job: None) -> None:
    await session.lane(0).step([], 2, QUEUES)


async def _due(broker: Broker, session: Session, _id: str, _job: None) -> None:
    await broker.client.set(keys.CLOCK, 6_000)
    await broker.promote_due()


async def _cancel(broker: Broker, _session: Session, job_id: str, _job: None) -> None:
    assert await broker.cancel([job_id]) == [Cancelling.UNKNOWN]


async def _take(broker: Broker, session: Session, job_id: str, _job: None) -> None:
    assert await broker.call("take", (session.id, [job_id])) == [""]


async def _start(broker: Broker, session: Session, _id: str, job: Reserved) -> None:
    assert await session.start([job]) == [False]


async def _put_back(broker: Broker, session: Session, _id: str, job: Reserved) -> None:
    await session.put_back([job])


async def _report(broker: Broker, session: Session, _id: str, job: Reserved) -> None:
    await session.report([Report(id=job.id, token=job.token, progress=Progress(done=1))])


async def _finish(broker: Broker, session: Session, _id: str, job: Reserved) -> None:
    assert await finish(session, job, RetryLater(Failure(type="x", message="y"), 0)) == [job.id]


async def _reap(broker: Broker, session: Session, _id: str, job: Reserved) -> None:
    await let_leases_run_out(broker, broker.client)


async def _discard(broker: Broker, _session: Session, job_id: str, _job: Any) -> None:
    assert await broker.discard([(job_id, 1)]) == 0


async def _forget(broker: Broker, _session: Session, _id: str, _job: Any) -> None:
    await broker.forget(await broker.stream.last())


async def _enqueue(broker: Broker, _session: Session, job_id: str, _job: Any) -> None:
    assert await broker.push([Push(spec=make_spec(id=job_id), run=2)]) == [Pushed.NEW]
    assert await broker.cancel([job_id]) == [Cancelling.CANCELLED]


SCRIPTS = [
    (_queued, _step), (_queued, _cancel), (_queued, _take), (_queued, _enqueue), (_queued, _discard),
    (_scheduled, _due), (_reserved, _start), (_reserved, _put_back), (_reserved, _reap), (_reserved, _cancel),
    (_active, _report), (_active, _finish), (_active, _reap), (_active, _cancel), (_active, _enqueue),
    (_ended, _forget), (_ended, _enqueue),
]  # fmt: skip


ANOTHER_TYPE = {"another type", "yet another type"}
HARMLESS_TO_RUNS = {"no such priority", "not even text", "no session"}
LOOKS_AT = {
    _step: {"no run", "no state", "no token", "no such state", "attempts are less than none", "infinity"}
    | {"crashes are no number", "a fraction"},
    _start: {"no run", "no state", "no token", "no such state", "attempts are less than none", "infinity"}
    | {"no version", "no queue", "no session", "a number that is too large"},
    _forget: {"no run", "no state", "no such state", "infinity"},
}
"""What the most frequent scripts look at. All others look at everything."""


def found(damage: str, act: Any) -> bool:
    return damage in ANOTHER_TYPE | LOOKS_AT.get(act, DAMAGES.keys())


@pytest.mark.parametrize(
    ("state", "act", "damage"),
    [
        pytest.param(state, act, DAMAGES[name], id=f"{state.__name__}-{act.__name__}-{name}")
        for state, act in SCRIPTS
        for name in DAMAGES
        if found(name, act)
    ],
)
async def test_it_is_set_aside_by_whoever_finds_it(
    broker: Broker, session: Session, state: Any, act: Any, damage: Damage
) -> None:
    job_id, job = await state(broker, session)
    neighbour = await push(broker)
    await damage(broker.client, keys.job(job_id))
    found = await content(broker.client, keys.job(job_id))
    await act(broker, session, job_id, job)
    (event,) = [event for _, event in await broker.stream.read(START, 100) if isinstance(event, Quarantined)]
    assert (event.job, event.version >= 1_000_000, event.reason != "") == (job_id, True, True)
    assert set(json.loads(event.record)) <= {"type", "content"}
    assert await content(broker.client, f"{{qq}}:quarantine:{job_id}") == found
    assert await broker.client.pttl(f"{{qq}}:quarantine:{job_id}") > 0
    assert (await broker.jobs([neighbour]))[neighbour].state is State.QUEUED


@pytest.mark.parametrize("name", sorted(DAMAGES.keys() - HARMLESS_TO_RUNS))
async def test_its_neighbours_run_and_it_runs_when_it_is_pushed_again(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis, name: str
) -> None:
    damaged, good = await push(broker), await push(broker)
    await DAMAGES[name](redis_client, keys.job(damaged))
    reserved = (await session.lane(0).step([], 2, QUEUES)).reserved
    may_run = await session.start(reserved)
    assert [job.id for job, may in zip(reserved, may_run, strict=True) if may] == [good]
    assert await broker.push([Push(spec=make_spec(id=damaged), recoveries=1)], recovered=True) == [Pushed.NEW]
    again = await start_one(session)
    step = await session.lane(0).step([Finished(again.id, again.token, Complete("1"))], 2, QUEUES)
    assert (again.id, step.reserved, step.stale) == (damaged, [], [])


@pytest.mark.parametrize("name", sorted(HARMLESS_TO_RUNS))
async def test_what_no_run_looks_at_harms_none(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis, name: str
) -> None:
    job_id = await push(broker)
    await DAMAGES[name](redis_client, keys.job(job_id))
    assert await finish(session, await start_one(session), Complete("1")) == []
    await broker.forget(await broker.stream.last())
    assert not await redis_client.exists(keys.job(job_id), f"{{qq}}:quarantine:{job_id}")


async def test_a_record_without_its_spec_is_set_aside_by_the_lane_that_draws_it(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    damaged, good = await push(broker), await push(broker)
    await redis_client.hdel(keys.job(damaged), "b")
    assert [job.id for job in (await session.lane(0).step([], 2, QUEUES)).reserved] == [good]
    assert await redis_client.exists(f"{{qq}}:quarantine:{damaged}")


async def test_what_ended_and_is_damaged_does_not_run_again(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    await finish(session, await start_one(session), Complete("1"))
    await redis_client.hdel(keys.job(spec.id), "u")
    assert await broker.cancel([spec.id]) == [Cancelling.FINAL]
    assert await broker.push([Push(spec=spec)]) == [Pushed.KNOWN]


async def test_a_damaged_run_is_not_taken_for_an_earlier_one_that_ended(
    broker: Broker, session: Session, redis_client: redis.asyncio.Redis
) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    assert await broker.cancel([spec.id]) == [Cancelling.CANCELLED]
    await broker.forget(await broker.stream.last())
    await broker.push([Push(spec=spec, run=2)])
    await redis_client.hdel(keys.job(spec.id), "v")
    assert await broker.cancel([spec.id]) == [Cancelling.UNKNOWN]


@pytest.mark.parametrize("memory", [False, True], ids=["STORE", "MEMORY"])
async def test_the_reconciler_puts_it_back_with_all_that_history_knows(
    client: Client, hand: Hand, memory: bool
) -> None:
    spec: JobSpec = make_spec(durability="MEMORY" if memory else "STORE")
    if not memory:
        await client.store.accept.accept(spec)
    await client.broker.push([Push(spec=spec)])
    first = await hand.start()
    await hand.finish(first, RetryLater(Failure(type="ValueError", message="no"), 0))
    running = await hand.start()
    reconciler = Reconciler(client.store, client.broker)
    await reconciler.turn()
    await client.broker.client.hset(keys.job(spec.id), "c", "x")
    assert await client.broker.cancel([spec.id]) == [Cancelling.UNKNOWN]
    await reconciler.turn()
    assert await client.broker.jobs([spec.id]) == {}, "history does not have all of it yet"
    await hand.record()
    await reconciler.turn()
    again = await hand.start()
    assert (again.id, again.attempt, again.uncharged, running.attempt) == (spec.id, 3, 1, 2)
    await hand.finish(again, Complete("1"))
    await hand.record()
    job = await client.store.search.job(spec.id)
    assert job
    assert (job.state, job.attempts, job.recoveries) == (State.COMPLETED, 3, 1)
    attempts = (await client.store.search.attempts([spec.id]))[spec.id]
    assert [str(attempt.state) for attempt in attempts] == ["FAILED", "LOST", "COMPLETED"]
    assert await client.broker.set_aside(await client.store.history.position()) == {}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_whoever_reads_jobs_sees_the_others(
    broker: Broker, redis_client: redis.asyncio.Redis, damage: Damage
) -> None:
    damaged, good = await push(broker), await push(broker)
    await damage(redis_client, keys.job(damaged))
    assert good in await broker.jobs([damaged, good])
    assert (await broker.runs([damaged, good]))[1] == 1
