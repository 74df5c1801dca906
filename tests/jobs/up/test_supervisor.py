from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from jobs.up import supervisor
from jobs.up.supervisor import BACKOFF_MAX_S, BACKOFF_MIN_S, LIVED_LONG_S, Backoff, Child
from tests.wait import until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({file!r}, 'w'); time.sleep(60)"
POLITE = (
    "import pathlib, signal, sys\n"
    "def stop(*_): pathlib.Path({file!r}).write_text('ended in order'); sys.exit()\n"
    "signal.signal(signal.SIGTERM, stop); pathlib.Path({file!r}).write_text('runs'); signal.pause()"
)
WITH_CHILD = (
    "import os, pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "pathlib.Path({file!r}).write_text(str(child.pid)); time.sleep(60)"
)

MakeChild = Callable[..., Child]


@pytest.fixture
async def make_child(folder: Path) -> AsyncIterator[MakeChild]:
    made: list[Child] = []

    def make(program: str, *, stop_s: float = 10.0) -> Child:
        argv = [sys.executable, "-c", program.format(file=str(folder / "file"))]
        made.append(Child("child", argv, os.environ, stop_s=stop_s))
        return made[-1]

    yield make
    hurry = asyncio.Event()
    hurry.set()
    await asyncio.gather(*(child.stop(hurry) for child in made))


def content(folder: Path) -> str:
    file = folder / "file"
    return file.read_text() if file.exists() else ""


async def test_a_process_ends_in_order(make_child: MakeChild, folder: Path) -> None:
    child = make_child(POLITE)
    await child.start()
    await until(lambda: content(folder) == "runs")
    await child.stop(asyncio.Event())
    assert content(folder) == "ended in order"
    assert child.pid is None
    await child.stop(asyncio.Event())


async def test_a_process_that_does_not_end_is_killed(make_child: MakeChild, folder: Path) -> None:
    child = make_child(STUBBORN, stop_s=0.2)
    await child.start()
    await until((folder / "file").exists)
    pid = child.pid
    await child.stop(asyncio.Event())
    assert pid
    assert not psutil.pid_exists(pid)


async def test_a_second_request_hurries(make_child: MakeChild, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "HURRY_S", 0.1)
    child = make_child(STUBBORN, stop_s=60)
    await child.start()
    await until((folder / "file").exists)
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(hurry))
    await asyncio.sleep(0)
    assert child.pid
    hurry.set()
    await asyncio.wait_for(stopping, 5)
    assert child.pid is None


async def test_what_a_process_started_ends_with_it(make_child: MakeChild, folder: Path) -> None:
    child = make_child(WITH_CHILD)
    await child.start()
    await until(lambda: content(folder))
    await child.stop(asyncio.Event())
    await until(lambda: not psutil.pid_exists(int(content(folder))) or is_zombie(int(content(folder))))


def is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_process_that_dies_is_started_again(
    make_child: MakeChild, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_MIN_S", 0.01)
    child = make_child(POLITE)
    await child.start()
    child.keep()
    for _ in range(2):
        await until(lambda: content(folder) == "runs")
        first = child.pid
        assert first
        (folder / "file").unlink()
        os.kill(first, signal.SIGKILL)
        await until(lambda first=first: child.pid not in {None, first})  # type: ignore[misc]  # binds the loop's value
    await until(lambda: content(folder) == "runs")
    await child.stop(asyncio.Event())
    assert content(folder) == "ended in order"


async def test_only_a_process_of_ours_has_printed_why_it_cannot_start(make_child: MakeChild) -> None:
    for code, printed in ((10, True), (1, False)):
        child = make_child(f"import sys; sys.exit({code})")
        await child.start()
        failure = await child.failed()
        assert (failure.exit_code, failure.printed) == (code, printed)


def test_pauses_double_up_to_a_limit_and_are_short_again_after_a_long_life() -> None:
    backoff = Backoff()
    pauses = [backoff.after(0.1) for _ in range(10)]
    assert pauses[:3] == [BACKOFF_MIN_S, BACKOFF_MIN_S * 2, BACKOFF_MIN_S * 4]
    assert pauses[-1] == BACKOFF_MAX_S
    assert backoff.after(LIVED_LONG_S) == BACKOFF_MIN_S


@pytest.mark.parametrize(("kills", "code", "starts"), [(2, 3, 3), (9, -signal.SIGKILL, 3)], ids=["twice", "always"])
async def test_a_child_that_is_killed_at_its_start_is_started_again_twice(
    make_child: MakeChild, folder: Path, kills: int, code: int, starts: int
) -> None:
    child = make_child(
        "import os, pathlib, signal, sys\n"
        "file = pathlib.Path({file!r}); text = file.read_text() if file.exists() else ''\n"
        "file.write_text(text + 'x')\n"
        f"os.kill(os.getpid(), signal.SIGKILL) if len(text) < {kills} else sys.exit(3)"
    )
    await child.start()
    failure = await child.failed()
    assert (failure.exit_code, content(folder)) == (code, "x" * starts)
