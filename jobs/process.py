"""Child processes that never outlive their parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Protocol

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Running(Protocol):
    """What can be done with a process: an `asyncio.subprocess.Process`, as far as it is needed here."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end and return the exit code."""

    def terminate(self) -> None:
        """Ask it to end."""


def ends_with_parent(death: signal.Signals, parent: int = 0) -> Callable[[], None]:
    """For `preexec_fn`: the child gets the signal `death` when its parent (default: this process) ends, however.

    Linux only; elsewhere a parent that is killed with SIGKILL leaves its children behind. To be called in the main
    thread: the kernel watches the thread that forks.
    """
    parent = parent or os.getpid()

    def in_child() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, death)
        if os.getppid() != parent:  # it ended before the line above
            os.kill(os.getpid(), death)

    return in_child


async def spawn(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    death: signal.Signals = signal.SIGKILL,
    keep_open: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a process in a group of its own, so that a terminal's Ctrl-C reaches its parent only.

    `output` takes what it writes (default: the parent's), `death` is the signal it gets when the parent ends, and
    `keep_open` are file descriptors that it shares.
    """
    return await asyncio.create_subprocess_exec(
        *argv,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=keep_open,
        start_new_session=True,
        preexec_fn=ends_with_parent(death),  # no threads hold locks that it needs: two system calls
    )


def signal_group(process: Running, number: signal.Signals) -> None:
    """Send a signal to a process from `spawn` and to all that it started. A process that ended is no fault."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def end(process: Running, *, within_s: float) -> bool:
    """Ask a process to end, and kill its group when it takes longer. True: it ended by itself."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            signal_group(process, signal.SIGKILL)
            await process.wait()
            return False
    signal_group(process, signal.SIGKILL)  # what it started and left behind
    return True
