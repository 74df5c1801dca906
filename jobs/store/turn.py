"""Whose turn it is to write: keeps several processes on one SQLite file fair and fast.

SQLite lets waiting writers poll, so that whoever commits often starves the others for seconds. Two file
locks beside the database end this: a writer takes `turn`, then `write`, then gives `turn` back. Whoever
has just written finds `turn` taken by the one that waits, and queues up behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from pathlib import Path

from jobs.errors import StoreUnavailable

WAIT_S = 5.0
"""How long a writer waits for its turn: as long as SQLite's own busy_timeout."""


class WriterTurn:
    """The two locks of one database file. One task of a process at a time may use it."""

    def __init__(self, database: Path) -> None:
        self._paths = [database.with_name(f"{database.name}-{name}.lock") for name in ("turn", "write")]
        self._files: list[int] = []

    async def take(self, wait_s: float | None = None) -> None:
        """Wait for the turn. Raises StoreUnavailable when a process keeps it for longer than `wait_s` (WAIT_S)."""
        turn, write = self._open()
        if _lock(turn, wait=False):
            if _lock(write, wait=False):
                fcntl.flock(turn, fcntl.LOCK_UN)
                return
            fcntl.flock(turn, fcntl.LOCK_UN)
        await self._wait(WAIT_S if wait_s is None else wait_s)

    def leave(self) -> None:
        """Let the next one write. Allowed when the turn was not taken."""
        if self._files:
            fcntl.flock(self._files[1], fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; whatever is held is given back."""
        for file in self._files:
            os.close(file)
        self._files = []

    def _open(self) -> list[int]:
        if not self._files:
            try:
                self._files = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for path in self._paths]
            except OSError as error:
                raise StoreUnavailable(f"The database cannot be locked: {error}.") from error
        return self._files

    async def _wait(self, wait_s: float) -> None:
        # The thread is a daemon and owns copies of the files: a process that is frozen with the lock held
        # keeps neither this one from ending nor later writers of this one from trying again.
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        files, self._files = self._files, []
        waiting = _Waiting(files)

        def wait() -> None:
            waiting.lock()
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=wait, name="writer-turn", daemon=True).start()
        try:
            async with asyncio.timeout(wait_s):
                await done.wait()
        except TimeoutError:
            raise StoreUnavailable("The database does not answer, because another process keeps it locked.") from None
        finally:
            if waiting.keep():
                self._files = files


class _Waiting:
    """Hands the locked files to the task that waits, or closes them when it no longer does."""

    def __init__(self, files: list[int]) -> None:
        self._files = files
        self._guard = threading.Lock()
        self._locked = False
        self._abandoned = False

    def lock(self) -> None:
        turn, write = self._files
        _lock(turn, wait=True)
        _lock(write, wait=True)
        fcntl.flock(turn, fcntl.LOCK_UN)
        with self._guard:
            self._locked = True
            if self._abandoned:
                self._close()

    def keep(self) -> bool:
        """Whether the lock is there, asked once, at the end of the wait."""
        with self._guard:
            self._abandoned = not self._locked
            return self._locked

    def _close(self) -> None:
        for file in self._files:
            os.close(file)


def _lock(file: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
