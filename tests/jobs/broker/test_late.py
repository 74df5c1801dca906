"""What arrives late, twice, or after an older copy of Redis came back; and what is left when nothing is going on."""

from __future__ import annotations

import redis
import redis.asyncio

from jobs.broker import Broker, Cancelling, Push, Pushed, Session, keys, scripts
from jobs.errors import EpochChanged
from jobs.job import Failure, Reason, State
from jobs.outcome import Complete, Die
from tests.factories import make_settings, make_spec, make_vitals, make_worker_info
from tests.jobs.broker.steps import QUEUES, finish, push, reserve_one, start_one
from tests.jobs.broker.watch import LASTING, dump, restore
from tests.redis_server import RedisServer


async def test_a_step_that_was_held_up_on_its_way_reserves_nothing(broker: Broker, session: Session) -> None:
    for _ in range(3):
        await push(broker)
    lane = session.lane(0)
    held_up = (session.id, 0, 1, [], 1, QUEUES, 1)
    assert len((await lane.step([], 1, QUEUES)).reserved) == 1
    assert len((await lane.step([], 1, QUEUES)).reserved) == 1
    assert (await scripts.run(broker.client, "step", held_up, "1"))[0] == []
    assert len((await lane.step([], 3, QUEUES)).reserved) == 1


async def test_a_push_from_before_an_epoch_is_late_in_it(broker: Broker, session: Session) -> None:
    """The job ran, and Redis was wiped; the push is repeated because its answer was lost."""
    spec, deadline_ms = make_spec(), await broker.deadline_ms()
    assert await broker.push([Push(spec=spec)], deadline_ms=deadline_ms) == [Pushed.NEW]
    await finish(session, await start_one(session), Complete("1"))
    await broker.client.flushall()
    await broker.raise_epoch(2)
    assert await broker.push([Push(spec=spec)], deadline_ms=deadline_ms) == [Pushed.LATE]
    assert await broker.push([Push(spec=make_spec())]) == [Pushed.NEW]


async def test_a_push_is_repeated_where_only_the_epoch_was_not_known(broker: Broker, redis_url: str) -> None:
    other = await Broker.open(redis_url, make_settings())
    await other.raise_epoch(2)
    assert await broker.push([Push(spec=make_spec())]) == [Pushed.NEW]
    await other.close()


async def test_an_older_copy_gives_no_token_twice(broker: Broker, session: Session, redis_server: RedisServer) -> None:
    await push(broker)
    with redis.Redis.from_url(redis_server.url) as client:
        copy = dump(client)
        first = await start_one(session)
        restore(client, copy)
    again = await session.lane(1).step([], 1, QUEUES)
    assert again.reserved[0].id == first.id
    assert again.reserved[0].token != first.token
    assert await session.start(again.reserved) == [True]
    assert await finish(session, first, Complete("1")) == [first.id]


async def test_a_job_that_is_taken_by_hand_twice_is_not_lost(broker: Broker, session: Session) -> None:
    """The answer to the first call may have been lost."""
    job_id = await push(broker)
    token = await broker.call("take", (session.id, [job_id]))
    assert token != [""]
    assert await broker.call("take", (session.id, [job_id])) == token
    other = await broker.open_session(make_worker_info())
    assert await broker.call("take", (other.id, [job_id])) == [""]
    await other.close()


async def test_a_job_that_was_cancelled_and_run_again_keeps_its_place_at_the_end(
    broker: Broker, session: Session
) -> None:
    first, second = make_spec(), make_spec()
    await broker.push([Push(spec=first), Push(spec=second)])
    assert await broker.cancel([first.id]) == [Cancelling.CANCELLED]
    await broker.push([Push(spec=first, run=2)])
    jobs = (await session.lane(0).step([], 5, QUEUES)).reserved
    assert [job.id for job in jobs] == [second.id, first.id]


async def test_a_run_that_was_to_be_cancelled_does_not_cancel_the_next(broker: Broker, session: Session) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    await start_one(session)
    assert await broker.cancel([spec.id]) == [Cancelling.REQUESTED]
    assert await broker.push([Push(spec=spec, run=2)]) == [Pushed.NEW]  # history knows that the first one ended
    assert await session.start([await reserve_one(session)]) == [True]
    assert await broker.client.exists(f"{{qq}}:cancel:{session.id}") == 0
    assert (await broker.jobs([spec.id]))[spec.id].state is State.ACTIVE


async def test_nothing_is_left_of_jobs_and_queues_that_nobody_serves(broker: Broker) -> None:
    ids = [await push(broker, queue=f"q{number}") for number in range(20)]
    await push(broker, queue="q0", scheduled_ms=await broker.now_ms() + 60_000)
    ids += [key.decode() for key in await broker.client.zrange("{qq}:due", 0, -1)]
    assert await broker.cancel(ids) == [Cancelling.CANCELLED] * 21
    assert await broker.forget(await broker.stream.last()) == 21
    left = {key.decode().removeprefix("{qq}:"): await broker.client.pttl(key) for key in await broker.client.keys()}
    assert {name for name, left_ms in left.items() if left_ms < 0} <= LASTING
    assert max(left.values()) <= 20_000


async def test_every_script_refuses_whoever_believes_in_another_epoch(
    broker: Broker, redis_client: redis.asyncio.Redis
) -> None:
    await push(broker)
    before = await redis_client.dump(keys.EVENTS)
    for script in scripts.SHA:
        for epoch in ("0", "2"):
            try:
                await scripts.run(broker.client, script, [], epoch)
            except EpochChanged:
                continue
            raise AssertionError(script)
    assert await redis_client.dump(keys.EVENTS) == before


async def test_a_final_job_whose_end_is_known_is_not_retried_by_a_late_push_of_an_earlier_run(
    broker: Broker, session: Session
) -> None:
    spec, deadline_ms = make_spec(), await broker.deadline_ms()
    await broker.push([Push(spec=spec)], deadline_ms=deadline_ms)
    await finish(session, await start_one(session), Die(Reason.NOT_RETRYABLE, Failure(type="x", message="y")))
    await broker.push([Push(spec=spec, run=2)])
    await finish(session, await start_one(session), Complete("1"))
    await broker.forget(await broker.stream.last())
    assert await broker.push([Push(spec=spec)], deadline_ms=deadline_ms) == [Pushed.KNOWN]
    assert await broker.push([Push(spec=spec, run=2)], deadline_ms=deadline_ms) == [Pushed.KNOWN]


async def test_nothing_begins_before_what_has_ended_is_dropped(broker: Broker, session: Session) -> None:
    job_id = await push(broker)
    await broker.raise_epoch(2, cleared=False)
    lane = session.lane(0)
    step = await lane.step([], 1, ["default"])
    assert (step.reserved, step.wait_ms) == ([], 200)
    await broker.set_cleared(2)
    assert [job.id for job in (await lane.step([], 1, ["default"])).reserved] == [job_id]


async def test_what_a_session_does_not_have_any_more_goes_to_others_in_a_new_epoch(
    broker: Broker, session: Session
) -> None:
    ids = [await push(broker) for _ in range(3)]
    lane = session.lane(0)
    reserved = (await lane.step([], 3, QUEUES)).reserved
    await session.start(reserved[:2])  # the start of the third was lost
    await session.keep([])  # nothing in the epoch that they were reserved in
    assert set(await broker.runs(ids)) == {1}
    assert (await lane.step([], 3, QUEUES)).reserved == []
    await broker.raise_epoch(2)
    assert session.renew(make_vitals()).is_new_epoch
    await session.keep([reserved[0].token, reserved[2].token])
    assert not session.renew(make_vitals()).is_new_epoch
    again = (await lane.step([], 3, QUEUES)).reserved
    assert sorted((job.id, job.attempt, job.uncharged, job.crashes) for job in again) == [
        (reserved[1].id, 2, 1, 0), (reserved[2].id, 1, 0, 0)
    ]  # fmt: skip
    assert await finish(session, reserved[0], Complete("1")) == []
    assert await finish(session, reserved[1], Complete("1")) == [reserved[1].id]


async def test_what_was_said_before_another_epoch_gives_nothing_away_in_it(broker: Broker, session: Session) -> None:
    await push(broker)
    job = await start_one(session)
    await broker.raise_epoch(2)
    await scripts.run(broker.client, "session", ("keep", session.id, "1", []), "2")
    assert await finish(session, job, Complete("1")) == []


async def test_a_run_that_ended_again_is_not_forgotten_for_its_earlier_end(broker: Broker, session: Session) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec)])
    await finish(session, await start_one(session), Die(Reason.NOT_RETRYABLE, Failure(type="x", message="y")))
    recorded = await broker.stream.last()
    await broker.push([Push(spec=spec, run=2)])
    await finish(session, await start_one(session), Complete("2"))
    assert await broker.forget(recorded) == 1
    assert (await broker.jobs([spec.id]))[spec.id].result == 2


async def test_a_newer_run_is_not_discarded_for_an_earlier_one(broker: Broker) -> None:
    spec = make_spec()
    await broker.push([Push(spec=spec, run=2)])
    assert await broker.discard([(spec.id, 1)]) == 0
    assert (await broker.jobs([spec.id]))[spec.id].state is State.QUEUED


async def test_whoever_gives_back_late_takes_nothing_from_the_next(broker: Broker, session: Session) -> None:
    await push(broker)
    first = await reserve_one(session)
    await session.put_back([first])
    second = await reserve_one(session)
    await session.put_back([first])
    assert await session.start([second]) == [True]


async def test_a_checkpoint_comes_along_with_a_push(broker: Broker, session: Session) -> None:
    await broker.push([Push(spec=make_spec(), checkpoint='{"value":7}', attempts=1, uncharged=1)], recovered=True)
    job = await start_one(session)
    assert (job.checkpoint, job.attempt, job.uncharged) == ('{"value":7}', 2, 1)
