"""Whether threads and child processes go on is seen by the processor time that they take."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

from jobs import backup
from jobs.effort import Effort, of_process, of_thread
from jobs.store import copy_sqlite, program
from tests.wait import until

STILL_S = 0.1


def stands(effort: Effort) -> bool:
    effort.moved()
    time.sleep(STILL_S)
    return not effort.moved()


async def test_a_thread_that_computes_moves_and_one_that_waits_does_not() -> None:
    effort, go_on, enough = Effort(), threading.Event(), threading.Event()

    def work() -> None:
        with of_thread():
            go_on.wait()
            while not enough.is_set():
                sum(range(1_000))

    assert not effort.moved()
    with effort.expected():
        working = asyncio.create_task(asyncio.to_thread(work))
    await until(effort.moved)  # it has begun
    await until(partial(stands, effort))
    go_on.set()
    for _ in range(3):
        await until(effort.moved)
    enough.set()
    await working
    await until(partial(stands, effort))


async def test_a_process_that_is_frozen_does_not_move() -> None:
    effort = Effort()
    with effort.expected():
        process = subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"])
        try:
            with of_process(process.pid):
                for _ in range(3):
                    await until(effort.moved)
                os.kill(process.pid, signal.SIGSTOP)
                await until(partial(stands, effort))
                os.kill(process.pid, signal.SIGCONT)
                await until(effort.moved)
        finally:
            process.kill()
            process.wait()


async def test_what_a_backup_leaves_to_others_is_counted(tmp_path: Path) -> None:
    enough = tmp_path / "enough"

    def compute(*_: object) -> None:
        while not enough.exists():
            sum(range(1_000))

    sqlite3.connect(tmp_path / "q.db").close()
    for work in (
        lambda: copy_sqlite._on(tmp_path / "q.db", compute),
        lambda: backup._in_thread(compute),
        lambda: program.run(["/bin/sh", "-c", f"while [ ! -e {enough} ]; do :; done"], {}),
    ):
        effort = Effort()
        with effort.expected():
            working = asyncio.create_task(work())
        try:
            for _ in range(3):
                await until(effort.moved)
        finally:
            enough.touch()
            await working
        enough.unlink()


async def test_what_nobody_expects_is_not_counted() -> None:
    effort = Effort()
    with of_thread(), of_process(os.getpid()):
        assert not effort.moved()
