"""Jobs that do not let their worker's event loop go, and workers that die with jobs in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from structlog.testing import capture_logs

from jobs.broker import keys
from jobs.event import Logged
from jobs.job import Reason, State
from jobs.worker.watch import EXIT_CODE
from tests.jobs.worker.crew import Crew
from tests.jobs.worker.works import Works
from tests.wait import eventually, until


def blocked_by(redis_url: str, session: str) -> str | None:
    """Wait in a thread until the worker says which job blocks it, and return its id."""
    deadline = time.monotonic() + 8
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        while time.monotonic() < deadline:
            vitals: Any = client.hget(keys.session(session), "vitals")
            job: str | None = json.loads(vitals or "{}").get("blocked_by")
            if job:
                return job
            time.sleep(0.02)
    return None


async def test_a_job_that_blocks_the_loop_is_named(works: Works, redis_url: str) -> None:
    named: list[str | None] = []

    @works.task()
    async def block() -> None:
        thread = threading.Thread(target=lambda: named.append(blocked_by(redis_url, str(engine.session_id))))
        thread.start()
        thread.join()
        time.sleep(1.2)  # noqa: ASYNC251  # still blocked at the next look

    with capture_logs() as lines:
        engine = await works.start()
        job = await works.run("block")

        def answers() -> bool:
            return any(line["event"] == "worker.loop_answers" for line in lines)

        await until(answers)
    assert (job.state, named) == (State.COMPLETED, [job.id])
    (warning,) = [line for line in lines if line["event"] == "worker.loop_blocked"]
    assert (warning["job"], warning["task"], warning["log_level"]) == (job.id, "block", "warning")
    assert "test_watch.py" in warning["place"]
    assert "in block" in warning["stack"]
    assert "attempt.py" not in warning["stack"]
    (line,) = [event for event in await works.events(job.id) if isinstance(event, Logged)]
    assert "blocked its worker's event loop" in line.message
    assert "test_watch.py" in line.message

    async def free() -> bool:
        (worker,) = await works.broker.workers()
        return worker.vitals is not None and worker.vitals.blocked_by is None

    await eventually(free)


async def test_a_loop_that_is_busy_is_not_blocked(works: Works) -> None:
    @works.task()
    async def busy() -> None:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            time.sleep(0.2)  # noqa: ASYNC251  # what this is about
            await asyncio.sleep(0)

    with capture_logs() as lines:
        await works.start()
        await works.run("busy")
    assert [line for line in lines if line["event"] == "worker.loop_blocked"] == []


async def test_only_the_job_that_blocks_past_its_time_is_charged(works: Works, redis_url: str, tmp_path: Path) -> None:
    others = [await works.push("wait", timeout_s=0.0), await works.push("wait_in_thread", timeout_s=0.0)]
    async with Crew(works.broker, redis_url, tmp_path / "output") as crew:
        for job_id in others:
            await works.reach(job_id, State.ACTIVE)
        others.append(await works.push("wait", timeout_s=0.5))  # past its time as well, which nobody can tell it
        blocking = await works.push("block", timeout_s=0.5, max_attempts=1)
        job = await works.reach(blocking, State.DEAD, within_s=20)
        await until(lambda: crew.codes == [EXIT_CODE])
        for job_id in others:
            await works.started(job_id, 2)
    assert (job.reason, job.crashes, job.attempts) == (Reason.ATTEMPTS_EXHAUSTED, 0, 1)
    assert job.error is not None
    assert job.error.type == "TIMEOUT"
    assert "in block" in job.error.stack
    for job_id in others:
        assert (await works.job(job_id)).crashes == 0
        assert (await works.kinds(job_id))[:4] == ["Enqueued", "Started", "Released", "Started"]
    output = crew.output.read_text()
    assert output.count("worker.loop_blocked") == 1
    assert "hard_tasks.py" in output


async def test_a_process_whose_interpreter_is_kept_ends_itself(works: Works, redis_url: str, tmp_path: Path) -> None:
    async with Crew(works.broker, redis_url, tmp_path / "output") as crew:
        job_id = await works.push("keep_the_interpreter", timeout_s=1.0)
        await until(lambda: crew.codes == [1], within_s=20)
        output = crew.output.read_text()
    assert (await works.job(job_id)).crashes == 1
    assert "Timeout" in output
    assert "in keep_the_interpreter" in output


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_processes_of_jobs_end_with_their_worker(
    works: Works, redis_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    async with Crew(works.broker, redis_url, tmp_path / "output", grace_s=0.1) as crew:
        job_id = await works.push("apart", timeout_s=0.0)

        async def logged() -> dict[str, int] | None:
            lines = [event.context for event in await works.events(job_id) if isinstance(event, Logged)]
            return json.loads(lines[0]) if lines else None

        pids: dict[str, int] = await eventually(logged)
        assert crew.process is not None
        os.kill(crew.process.pid, number)
        await until(lambda: not any(psutil.pid_exists(pid) for pid in pids.values()))
        await until(lambda: crew.codes == [-number if number == signal.SIGKILL else 0])
        if number == signal.SIGTERM:
            assert "Released" in await works.kinds(job_id)
