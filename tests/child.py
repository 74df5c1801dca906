"""Child processes of this one, frozen in the middle of their work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil


def catch(program: str, word: str, *, within_s: float = 20.0) -> psutil.Process:
    """Freeze the next child that runs this program with such a word among its arguments. To be called in a thread."""
    children, deadline = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children"), time.monotonic() + within_s
    while True:
        for pid in map(int, children.read_text().split()):
            if _runs(pid, program, word) and _stopped(pid):
                return psutil.Process(pid)
        assert time.monotonic() < deadline, f"no {program} has run"
        time.sleep(0.001)


def _runs(pid: int, program: str, word: str) -> bool:
    try:
        name, *words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:  # it has ended
        return False
    return name.endswith(program) and any(word in one for one in words)


def _stopped(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGSTOP)
        while (status := psutil.Process(pid).status()) not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
            time.sleep(0.001)
    except (ProcessLookupError, psutil.Error):
        return False
    return status == psutil.STATUS_STOPPED
