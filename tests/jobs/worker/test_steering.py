"""What operators tell a running worker: to be quiet, to do more or less, to serve other queues, to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from jobs import Context
from jobs.broker import Broker, Lane, Session, WorkerState, WorkerWish, keys
from jobs.job import State
from jobs.worker.slots import Slots
from tests.jobs.worker.steered import Steered
from tests.jobs.worker.works import Works
from tests.wait import eventually


@pytest.fixture
async def steered(works: Works) -> Steered:
    return Steered(works)


async def test_a_quiet_worker_goes_on_with_what_runs_and_takes_no_more(steered: Steered) -> None:
    works = steered.works
    await steered.start()
    first = await works.push("hold")
    await works.reach(first, State.ACTIVE)
    await steered.tell(quiet=True)
    second = await works.push("small")
    steered.go_on.set()
    await works.reach(first, State.COMPLETED)
    await steered.until_running(0)
    assert (await works.job(second)).state is State.QUEUED
    assert steered.ran == [first]
    await steered.tell()
    await works.reach(second, State.COMPLETED)


async def test_a_worker_that_waits_for_jobs_becomes_quiet_and_takes_up_again_at_once(steered: Steered) -> None:
    works = steered.works
    await steered.start()  # an idle worker listens
    for _ in range(3):
        await steered.tell(quiet=True)
        waiting = await works.push("small")
        await steered.tell()
        began = time.monotonic()
        await works.reach(waiting, State.COMPLETED)
        assert time.monotonic() - began < 3.0  # it does not wait for the end of its long poll
        await works.run("small")


async def test_concurrency_is_raised_and_lowered(steered: Steered) -> None:
    works = steered.works
    await steered.start(concurrency=2)
    ids = [await works.push("hold") for _ in range(12)]
    await steered.until_running(2)
    await steered.tell(concurrency=6)
    await steered.until_running(6)
    await steered.tell(concurrency=1)
    assert len(steered.ran) == 6  # what runs goes on
    steered.go_on.set()
    for job_id in ids:
        await works.reach(job_id, State.COMPLETED)
    steered.go_on.clear()
    ids = [await works.push("hold") for _ in range(4)]
    await steered.until_running(1)
    for number in range(4):
        active = [job for job in (await works.broker.jobs(ids)).values() if job.state is State.ACTIVE]
        assert len(active) <= 1, number
    await steered.tell()  # as it was started
    await steered.until_running(2)
    steered.go_on.set()


async def test_a_worker_that_listens_while_its_concurrency_is_lowered_takes_no_job_too_many(steered: Steered) -> None:
    works = steered.works
    await steered.start(concurrency=3)
    ids = [await works.push("hold") for _ in range(2)]
    await steered.until_running(2)  # and one lane listens for the third
    await steered.tell(concurrency=1)
    late = await works.push("small")
    await eventually(lambda: said_again(steered), what="another renewal")
    assert (await works.job(late)).state is State.QUEUED
    steered.go_on.set()
    for job_id in [*ids, late]:
        await works.reach(job_id, State.COMPLETED)


async def said_again(steered: Steered) -> bool:
    seen = (await steered.record()).seen_ms
    await asyncio.sleep(0.25)  # two renewals
    return (await steered.record()).seen_ms > seen


async def test_queues_are_changed(steered: Steered) -> None:
    works = steered.works
    await steered.start(engine={"queues": ["old"]})
    await works.run("small", queue="old")
    waiting = await works.push("small", queue="new")
    began = time.monotonic()
    await steered.tell(queues=("new",))
    await works.reach(waiting, State.COMPLETED)
    assert time.monotonic() - began < 3.0
    left = await works.push("small", queue="old")
    await works.run("small", queue="new")
    assert (await works.job(left)).state is State.QUEUED
    await steered.tell(queues=("old", "new"))
    await works.reach(left, State.COMPLETED)


async def test_a_worker_stops_in_order_when_it_is_told_to(steered: Steered) -> None:
    works = steered.works
    await steered.start()
    running = asyncio.create_task(steered.engine.run_until_stopped())
    job_id = await works.push("hold")
    await works.reach(job_id, State.ACTIVE)
    session_id = steered.engine.session_id
    assert session_id
    await works.broker.steer(session_id, WorkerWish(stop=True))

    async def stopping() -> bool:
        vitals = (await steered.record()).vitals
        return vitals is not None and vitals.state is WorkerState.STOPPING

    await eventually(stopping)
    late = await works.push("small")
    steered.go_on.set()
    async with asyncio.timeout(5):
        await running
    assert (await works.job(job_id)).state is State.COMPLETED
    assert (await works.job(late)).state is State.QUEUED
    assert await works.broker.workers() == []
    assert not await works.broker.steer(session_id, WorkerWish())


async def test_whoever_owns_the_worker_may_stop_it_in_his_own_way(steered: Steered) -> None:
    told = asyncio.Event()
    await steered.start(engine={"on_stop": told.set})
    assert steered.engine.session_id
    await steered.works.broker.steer(steered.engine.session_id, WorkerWish(stop=True))
    async with asyncio.timeout(5):
        await told.wait()
    assert steered.engine.session_id


async def test_a_wish_outlives_the_session(steered: Steered) -> None:
    works = steered.works
    await steered.start()
    wish = WorkerWish(concurrency=3, queues=("other",), quiet=True)
    await steered.tell(concurrency=3, queues=("other",), quiet=True)
    first = steered.engine.session_id
    await works.broker.call("session", ("close", first))

    async def another() -> bool:
        return steered.engine.session_id not in (None, first)

    await eventually(another)
    await steered.until_like(wish)
    assert (await steered.record()).wish == wish  # so that the next wish is added to it
    waiting = await works.push("small", queue="other")
    await eventually(lambda: said_again(steered))
    assert (await works.job(waiting)).state is State.QUEUED


async def test_what_is_wished_while_a_session_is_opened_adds_to_the_earlier_wish(
    steered: Steered, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = steered.works
    await steered.start()
    await steered.tell(concurrency=3)
    open_session = Broker.open_session

    async def told_at_once(broker: Broker, *args: Any) -> Session:
        session = await open_session(broker, *args)
        (worker,) = [one for one in await broker.workers() if one.id == session.id]
        wish = WorkerWish(concurrency=worker.wish.concurrency, quiet=True)  # what `quiet` does
        await broker.steer(session.id, wish, instead_of=worker.wish)
        return session

    monkeypatch.setattr(Broker, "open_session", told_at_once)
    first = steered.engine.session_id
    await works.broker.call("session", ("close", first))

    async def another() -> bool:
        return steered.engine.session_id not in (None, first)

    await eventually(another)
    await steered.until_like(WorkerWish(concurrency=3, quiet=True))


async def test_another_worker_is_roused_for_what_a_quieted_listener_was_woken_for(works: Works) -> None:
    # The quieted one takes the mark that wakes, in the moment in which it is told to be quiet.
    ran: list[str] = []

    @works.task()
    async def small(ctx: Context) -> None:
        ran.append(ctx.job_id)

    one, other = await works.start(renew_s=0.05), await works.start(renew_s=0.05)
    assert one.session_id
    assert other.session_id
    for _ in range(15):
        await works.broker.steer(one.session_id, WorkerWish(quiet=True))
        began = time.monotonic()
        await asyncio.gather(*(works.run("small") for _ in range(3)))
        assert time.monotonic() - began < 3.0, "a job waited for the end of a long poll"
        await works.broker.steer(one.session_id, WorkerWish())


async def test_a_listener_that_was_woken_just_before_it_is_told_rouses_another(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    @works.task()
    async def small() -> None: ...

    listening, told = asyncio.Event(), asyncio.Event()
    wait = Lane.wait

    async def woken(self: Lane, queues: Sequence[str], timeout_ms: int) -> None:
        listening.set()
        await wait(self, queues, timeout_ms)
        # The mark is taken; before anybody looks for the job, the worker is told to be quiet.
        asyncio.get_running_loop().call_soon(engine._apply, WorkerWish(quiet=True))
        told.set()

    engine = await works.start()
    await works.run("small")
    monkeypatch.setattr(Lane, "wait", woken)
    await works.run("small")  # the next time that it listens is the one above
    await listening.wait()
    job_id = await works.push("small")
    await told.wait()
    monkeypatch.undo()
    mark = keys.wake("default")
    await eventually(lambda: works.broker.client.llen(mark), what="the mark to be set again")
    assert (await works.job(job_id)).state is State.QUEUED


def test_claims_above_the_limit_are_given_back() -> None:
    slots = Slots(4)
    assert slots.claim(10) == 4
    slots.most = 3
    assert slots.revoke(2, all_of_them=False) == 1
    assert slots.revoke(2, all_of_them=False) == 0
    slots.quiet = True
    assert slots.claim(1) == 0
    assert slots.revoke(2, all_of_them=False) == 2
    assert slots.revoke(1, all_of_them=True) == 1
    slots.quiet = False
    assert slots.free == 3
