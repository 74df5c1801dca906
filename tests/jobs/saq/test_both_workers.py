"""SAQ's contract: our Queue under SAQ's own worker and under ours."""

from __future__ import annotations

from typing import Any

import pytest
import saq
import saq.worker
from saq.job import Status

from jobs.saq import Queue
from tests.jobs.saq.steps import ended, enqueue, forget
from tests.wait import eventually


async def test_saq_functions_run_unchanged(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    assert await queue.apply("add", a=1, b=2, poll_interval=0.01) == 3
    assert await queue.apply("in_thread", text="a", poll_interval=0.01) == "A"
    assert await queue.apply("who", key="k", poll_interval=0.01) == ["k", "who", "default", worker.id]
    assert await queue.map("add", [{"a": 1}, {"a": 2}], poll_interval=0.01) == [2, 3]
    with pytest.raises(saq.queue.JobError, match="oops"):
        await queue.apply("fail", poll_interval=0.01)


async def test_ended_job_tells_what_saq_tells(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "add", a=1, meta={"tenant": 7}, timeout=20, retries=3))

    assert (job.status, job.result, job.attempts, job.progress) == (Status.COMPLETE, 2, 1, 1.0)
    assert (job.kwargs, job.meta, job.timeout, job.retries) == ({"a": 1}, {"tenant": 7}, 20, 3)
    assert job.queued <= job.started <= job.completed
    assert job.worker_id == worker.id


async def test_failing_job_is_retried_as_often_as_it_may(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "fail", retries=2))

    assert (job.status, job.attempts) == (Status.FAILED, 2)
    assert job.error is not None
    assert "oops" in job.error


async def test_running_job_can_be_aborted(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "endless", timeout=60)
    await queue.listen([job.key], lambda _, status: status is Status.ACTIVE)

    await job.abort("enough")
    assert await queue.count("active") == 0
    assert await queue.enqueue("endless", key=job.key) is None
    await ended(queue, job)

    assert (job.status, job.error) == (Status.ABORTED, "enough")


async def test_result_that_is_no_json_fails_the_job(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await ended(queue, await enqueue(queue, "nan", retries=3))

    assert (job.status, job.attempts, job.result) == (Status.FAILED, 1, None)


async def test_function_reports_through_its_job(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "half", timeout=60)

    async def reported() -> bool:
        await job.refresh()
        return (job.progress, job.meta) == (0.5, {"seen": True})

    await eventually(reported)
    broker = await queue.broker()

    async def in_history() -> bool:
        live = (await broker.jobs([(await broker.ids())[1][0]])).popitem()[1]
        return live.progress is not None and live.progress.percentage == 50

    await eventually(in_history)
    await job.abort("done")


async def test_stopped_worker_gives_its_jobs_back(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    job = await enqueue(queue, "endless", timeout=60)
    await queue.listen([job.key], lambda _, status: status is Status.ACTIVE)

    await worker.stop()
    await job.refresh()

    assert (job.status, job.error) == (Status.QUEUED, "cancelled")


async def test_result_stays_for_its_ttl_when_history_has_it(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    kept = await ended(queue, await enqueue(queue, "add", a=1, ttl=60))
    gone = await enqueue(queue, "add", a=1, ttl=-1)

    async def is_gone() -> bool:
        return await queue.job(gone.key) is None

    await eventually(is_gone)
    await forget(queue)

    broker = await queue.broker()
    assert (await broker.ids())[1] == []
    await kept.refresh()
    assert (kept.status, kept.result) == (Status.COMPLETE, 2)
    ttls = [await broker.client.ttl(name) async for name in broker.client.scan_iter(match="*kept:*")]
    assert len(ttls) == 1
    assert 0 < ttls[0] <= 60


async def test_statistics_count_what_counted(queue: Queue, worker: saq.worker.Worker[Any]) -> None:
    await ended(queue, await enqueue(queue, "add", a=1))
    await ended(queue, await enqueue(queue, "fail", retries=2))

    info = await worker.worker_info()
    assert info["stats"] is not None
    assert {name: info["stats"][name] for name in ("complete", "failed", "retried", "aborted")} == {
        "complete": 1, "failed": 1, "retried": 1, "aborted": 0,
    }  # fmt: skip
    assert set((await queue.info())["workers"]) == {worker.id}
