"""Jobs that kill their worker, and those that run beside them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from jobs.event import Reaped
from jobs.job import Reason, State
from tests.jobs.worker.crew import Crew
from tests.jobs.worker.works import Works
from tests.wait import eventually, until


@pytest.mark.parametrize("pills", [1, 2])
async def test_a_pill_is_dead_after_three_crashes_and_all_its_neighbours_are_completed(
    works: Works, redis_url: str, tmp_path: Path, pills: int
) -> None:
    around = [await works.push("neighbour") for _ in range(25)]
    poison = [await works.push("pill") for _ in range(pills)]
    around += [await works.push("neighbour") for _ in range(25)]
    async with Crew(works.broker, redis_url, tmp_path / "output", concurrency=100) as crew:

        async def done() -> bool:
            """Tell whether all have ended; until then there is always other work, which suspects must not wait for."""
            counts = await works.broker.counts(["default"])
            for _ in range(100 - counts["default"].get(State.QUEUED, 0)):
                await works.push("small")
            jobs = await works.broker.jobs([*around, *poison])
            return all(job.state in (State.COMPLETED, State.DEAD) for job in jobs.values())

        await eventually(done, within_s=40, what="all to end")
        # Of two pills one may not have begun yet when the other kills their worker.
        assert crew.codes in ([-9] * deaths for deaths in range(2, pills + 2))
        worker = psutil.Process(crew.process.pid)  # type: ignore[union-attr]  # it runs
        await until(lambda: len(worker.children(recursive=True)) == 1)  # the nursery; their processes have ended
    jobs = await works.broker.jobs([*around, *poison])
    for job_id in poison:
        job = jobs[job_id]
        assert (job.state, job.reason, job.crashes) == (State.DEAD, Reason.POISON, 3)
        assert job.error is not None
        assert job.error.message == "The process of the job was killed by SIGKILL."
    assert {(jobs[job_id].state, jobs[job_id].attempts > 1) for job_id in around} == {(State.COMPLETED, True)}
    assert max(jobs[job_id].crashes for job_id in around) == 2
    suspects = [job_id for job_id in around if jobs[job_id].crashes == 2]
    assert len({jobs[job_id].result for job_id in suspects}) == len(suspects)  # each in a process of its own
    assert os.getpid() not in {jobs[job_id].result for job_id in around}
    reaped = [event for event in await works.events(suspects[0]) if isinstance(event, Reaped)]
    assert [event.crashes for event in reaped] == [1, 2]
