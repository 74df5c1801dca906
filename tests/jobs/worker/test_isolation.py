"""Tasks in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from jobs import Context
from jobs.broker import Report, Session
from jobs.errors import TaskInvalid
from jobs.job import Job, Reason, State
from jobs.task import Registry, task
from jobs.worker import Hooks
from jobs.worker.nursery import COMMAND, FORK, Setting
from jobs.worker.pool import BOOT
from tests.jobs.worker.isolated_tasks import open_sockets, registry
from tests.jobs.worker.works import Works
from tests.wait import eventually, until


@pytest.fixture
def apart(works: Works) -> Works:
    works.registry = registry
    return works


def ours() -> list[psutil.Process]:
    """Nurseries and processes of jobs."""
    return [process for process in psutil.Process().children(recursive=True) if "queueql" in _command(process)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def test_it_runs_in_a_process_that_is_used_again_and_holds_nothing_of_the_worker(apart: Works) -> None:
    engine = await apart.start()
    job = await apart.run("who", args={"factor": 21})
    assert job.result["doubled"] == 42
    assert job.result["pid"] != os.getpid()
    assert len(job.result["sockets"]) == 3  # its wire, and two of its own event loop
    assert not set(job.result["sockets"]) & set(open_sockets())
    assert job.result["inherited"] == []
    assert job.result["key"] == f"{job.id}-1"
    assert job.progress is not None
    assert (job.progress.done, job.progress.step) == (1, "half")
    assert await apart.kinds(job.id) == ["Enqueued", "Started", "Progressed", "Logged", "Completed"]
    assert (await apart.run("who_async")).result == job.result["pid"]
    await engine.stop()
    await until(lambda: not psutil.pid_exists(job.result["pid"]) and not psutil.pid_exists(job.result["parent"]))


async def test_every_way_to_end_is_the_same_as_in_the_worker(apart: Works) -> None:
    await apart.start(payload_max_bytes=2_048)
    flaky = await apart.run("flaky")
    assert (flaky.state, flaky.result, flaky.attempts) == (State.COMPLETED, "done", 2)
    assert (await apart.run("give_up")).state is State.CANCELLED
    assert (await apart.run("no_json")).reason is Reason.RESULT_UNENCODABLE
    assert (await apart.run("flood", args={"size": 4_096})).reason is Reason.RESULT_UNENCODABLE
    assert (await apart.run("flood", args={"size": 1_000})).result == "x" * 1_000
    assert (await apart.run("flood", args={"size": "much"})).reason is Reason.INVALID_ARGUMENTS
    assert (await apart.run("turn_down")).state is State.COMPLETED


async def test_a_process_that_dies_is_a_crash_of_its_job_alone(apart: Works) -> None:
    await apart.start()
    neighbour = await apart.push("patient")
    await apart.reach(neighbour, State.ACTIVE)
    job = await apart.run("die")
    assert (job.state, job.reason, job.crashes, job.attempts) == (State.DEAD, Reason.POISON, 3, 3)
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("CRASHED", "The process of the job was killed by SIGSEGV.")
    job = await apart.run("leave", args={"code": 3})
    assert job.error is not None
    assert job.error.message == "The process of the job ended by itself with exit code 3."
    assert (await apart.job(neighbour)).crashes == 0
    await apart.broker.cancel([neighbour])
    await apart.reach(neighbour, State.CANCELLED)


async def test_what_a_dead_process_had_started_is_killed(apart: Works, tmp_path: Path) -> None:
    await apart.start()
    note = tmp_path / "pid"
    await apart.run("leave_a_program", args={"note": str(note)})
    await until(lambda: not _runs(int(note.read_text())))


async def test_what_was_saved_before_a_crash_is_there_after_it(apart: Works) -> None:
    await apart.start()
    job = await apart.run("resume")
    assert (job.result, job.crashes) == ([{"page": 7}, 2, 1], 1)


async def test_what_a_job_has_left_behind_does_not_speak_for_the_next_one(apart: Works, tmp_path: Path) -> None:
    await apart.start(concurrency=1)
    args = {"path": str(tmp_path / "begun")}
    first = await apart.run("leave_a_voice", args=args)
    second = await apart.run("listen", args=args)
    assert second.result == [first.result, None]  # in the same process
    assert await apart.kinds(second.id) == ["Enqueued", "Started", "Completed"]


async def test_the_arrival_of_a_save_is_not_taken_for_that_of_the_next_job(
    apart: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Session.report
    saves: list[str] = []

    async def slowly(session: Session, reports: Sequence[Report]) -> frozenset[str]:
        if any(one.checkpoint for one in reports):
            saves.append(reports[0].id)
            await asyncio.sleep(len(saves))
        return await report(session, reports)

    await apart.start(concurrency=4)
    await apart.run("who")  # so that a process waits for both
    monkeypatch.setattr(Session, "report", slowly)
    first = await apart.push("save_in_passing")
    await until(lambda: saves == [first])
    assert (await apart.run("save_and_wait")).result > 2


async def test_past_its_timeout_it_is_killed_with_all_that_it_started(apart: Works, tmp_path: Path) -> None:
    await apart.start()
    note = tmp_path / "pids"
    began = time.monotonic()
    job = await apart.run("stuck", args={"note": str(note)})
    assert time.monotonic() - began < 10
    assert (job.state, job.reason) == (State.DEAD, Reason.ATTEMPTS_EXHAUSTED)
    assert job.error is not None
    assert (job.error.type, job.crashes) == ("TIMEOUT", 0)
    pids = [int(pid) for pid in note.read_text().split()]
    await until(lambda: not any(_runs(pid) for pid in pids))
    assert (await apart.run("who")).state is State.COMPLETED


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_job_that_ends_although_it_was_cancelled_is_completed(apart: Works) -> None:
    await apart.start()
    job_id = await apart.push("stubborn")
    await apart.begun(job_id)
    await apart.broker.cancel([job_id])
    assert (await apart.reach(job_id, State.COMPLETED)).result == "finished anyway"


@pytest.mark.parametrize("name", ["hang", "stuck_for_ever"])
async def test_a_stopping_worker_gives_it_back(apart: Works, name: str) -> None:
    engine = await apart.start(grace_s=0.1)
    job_id = await apart.push(name)
    await apart.begun(job_id)
    async with asyncio.timeout(10):
        await engine.stop()
    job = await apart.job(job_id)
    assert (job.state, job.crashes) == (State.QUEUED, 0)
    kinds = [kind for kind in await apart.kinds(job_id) if kind not in ("Logged", "Progressed")]
    assert kinds == ["Enqueued", "Started", "Released"]
    assert ours() == []


async def test_signals_for_a_whole_group_are_left_to_the_worker(apart: Works) -> None:
    await apart.start()
    job_id = await apart.push("hang")
    await apart.begun(job_id)
    for process in ours():
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    assert (await apart.run("who")).state is State.COMPLETED
    await apart.broker.cancel([job_id])
    assert (await apart.reach(job_id, State.CANCELLED)).crashes == 0


async def test_a_job_can_be_cancelled_while_it_waits_for_its_process(apart: Works) -> None:
    await apart.start()
    await until(ours)
    (nursery,) = ours()
    nursery.suspend()
    job_id = await apart.push("hang")
    await apart.reach(job_id, State.ACTIVE)
    await apart.broker.cancel([job_id])
    await apart.reach(job_id, State.CANCELLED)
    nursery.resume()
    assert (await apart.run("who")).state is State.COMPLETED


async def test_only_so_many_processes_wait_for_a_job(apart: Works) -> None:
    await apart.start(concurrency=8)
    ids = [await apart.push("who") for _ in range(60)]
    jobs: list[Job] = [await apart.reach(job_id, State.COMPLETED) for job_id in ids]
    assert len({job.result["pid"] for job in jobs}) < 60

    async def few() -> bool:
        return len(ours()) <= 1 + 4

    await eventually(few)


async def test_a_nursery_that_dies_is_replaced(apart: Works) -> None:
    await apart.start()
    job_id = await apart.push("hang")
    await apart.begun(job_id)
    parent = (await apart.run("who")).result["parent"]
    os.kill(parent, signal.SIGKILL)
    await until(lambda: not _runs(parent))
    job = await apart.run("who")
    assert job.state is State.COMPLETED
    assert job.result["parent"] != parent

    async def again() -> bool:
        return (await apart.kinds(job_id)).count("Progressed") == 2

    await eventually(again)
    assert (await apart.job(job_id)).crashes == 1
    await apart.broker.cancel([job_id])
    await apart.reach(job_id, State.CANCELLED)


def test_a_worker_that_dies_with_unread_news_ends_its_nursery_quietly() -> None:
    ours, theirs = socket.socketpair()
    wire, childs = socket.socketpair()
    setting = msgspec.json.encode(Setting(parent=os.getpid(), modules=[], log_level="", log_json=False)).decode()
    with theirs, childs:
        nursery = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, str(theirs.fileno()), json.dumps(sys.path), setting],
            pass_fds=[theirs.fileno()], start_new_session=True, stderr=subprocess.PIPE,
        )  # fmt: skip
        socket.send_fds(ours, [COMMAND.pack(FORK, 1)], [childs.fileno()])
    wire.close()
    assert select.select([ours], [], [], 30)[0]  # news of the child's end
    ours.close()
    _, said = nursery.communicate(timeout=30)
    assert (nursery.returncode, said) == (0, b"")


async def test_hooks_are_called_in_the_worker_around_it(apart: Works) -> None:
    seen: list[object] = []

    async def before(ctx: Context) -> None:
        seen.append(("before", ctx.task))

    async def after(ctx: Context) -> None:
        seen.append(("after", ctx.task, str(ctx.get("exception", "")).partition(":")[0]))

    await apart.start(engine={"hooks": Hooks(before, after)})
    assert (await apart.run("who")).state is State.COMPLETED
    assert (await apart.run("leave", args={"code": 3}, max_attempts=1)).reason is Reason.POISON
    assert seen[:2] == [("before", "who"), ("after", "who", "")]
    assert seen[2:] == [("before", "leave"), ("after", "leave", "CRASHED")] * 3


async def test_a_task_that_cannot_be_imported_is_refused_at_the_start(works: Works) -> None:
    @works.task(isolation="process")
    def inner() -> None: ...

    with pytest.raises(
        TaskInvalid, match=r"^Task inner cannot run in a process of its own, because .*inner is defined"
    ):
        await works.start()


def test_other_isolations_are_refused() -> None:
    with pytest.raises(TaskInvalid, match="isolation is 'process', 'thread' or None, not 'vm'"):
        task(isolation="vm", registry=Registry())(ours)  # type: ignore[call-overload]  # what this is about
