"""Giving everything back from a thread, when the loop of the process is blocked for good."""

from __future__ import annotations

import asyncio

from jobs import outcome
from jobs.broker import Finished
from jobs.job import State
from tests.factories import make_worker_info
from tests.jobs.worker.works import Works


async def test_what_has_not_started_goes_back_as_if_nothing_had_happened(works: Works) -> None:
    ids = [await works.push("small") for _ in range(3)]
    session = await works.broker.open_session(make_worker_info())
    jobs = (await session.lane(0).step([], 3, ["default"])).reserved
    assert [job.id for job in jobs] == ids
    assert await session.start(jobs[:2]) == [True, True]
    ends = [outcome.Complete("1"), outcome.Release(), outcome.Release()]
    finished = [Finished(job.id, job.token, end) for job, end in zip(jobs, ends, strict=True)]
    await asyncio.to_thread(session.abandon, finished)
    done, released, untouched = [await works.job(job_id) for job_id in ids]
    assert (done.state, done.result) == (State.COMPLETED, 1)
    assert (released.state, released.attempts, released.crashes) == (State.QUEUED, 1, 0)
    assert (untouched.state, untouched.attempts, untouched.crashes) == (State.QUEUED, 0, 0)
    assert await works.kinds(ids[1]) == ["Enqueued", "Started", "Released"]
    assert await works.kinds(ids[2]) == ["Enqueued"]
    another = await works.broker.open_session(make_worker_info())
    assert {job.id for job in (await another.lane(0).step([], 3, ["default"])).reserved} == set(ids[1:])
    await another.close()
    await session.close()
