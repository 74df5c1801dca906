"""Carrying SQLite's write-ahead log over into the database file, beside the writers.

By itself SQLite does so inside the COMMIT of whoever makes the log longer than 1,000 pages, while all other writers
wait for two or three more syncs of the disk. A passive checkpoint on a connection of its own keeps nobody waiting. But
the log begins anew only once all of it was carried over, and while others go on writing there is always some more. So
the last steps are made in the writers' turn, when little is left to copy, and keep them out for a few milliseconds.

Every process looks after its own commits. SQLite lets one of them at a time make a checkpoint.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import aiosqlite
import structlog

log = structlog.get_logger(__name__)

PAGES = 2_000
"""What is in the log only is carried over when it has grown by so many pages."""
PAGES_MAX = 16_000
"""With a log of so many pages, 64 MB, writers now and then wait for readers to leave it."""
HOLDS_S = (0.005, 0.005, 0.010, 0.020, 0.040)
"""For how long each step keeps writers out at most: a sync of the disk that takes longer goes on beside them.

Those who write meanwhile make the next step necessary. It has less to copy and to sync, and a busy machine more time.
"""
READERS_MS, READERS_MOST_MS = 40, 1_000
"""For how long: longer, the longer the log. Readers that overlap and take longer than that let it grow on."""
READERS_EVERY_S = 1.0
PAGES_LONG = 4 * PAGES_MAX
"""A log of so many pages is worth a warning: a reader never ends, or whoever carries it over stands still."""
LOOK_EVERY_S = 0.05
FAULT_PAUSE_S = 1.0

_HEADER, _FRAME_HEADER = 32, 24
"""Bytes, as https://www.sqlite.org/walformat.html has it; pages follow, each behind a header of its own."""
_PRAGMAS = (
    "PRAGMA synchronous=FULL",  # the file is synced before the log begins anew
    f"PRAGMA busy_timeout={READERS_MS}",
    "PRAGMA schema_version",  # only whoever has read once knows that there is a log
)


class Length(NamedTuple):
    """How long the log is."""

    salts: bytes
    """Others when the log has begun anew."""
    pages: int


class _Done(NamedTuple):
    """What a checkpoint says of itself."""

    is_busy: int
    """Another process makes one; or RESTART has waited for readers or writers in vain."""
    pages: int
    """Pages of the log."""
    carried: int


class Checkpointer:
    """Looks, after commits of this process, whether the log has become long. `alone` keeps all writers out."""

    def __init__(self, database: Path, alone: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._database = database
        self._alone = alone
        self._committed = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._known = Length(b"", 0)
        self._restarted_at = -READERS_EVERY_S
        self._has_fault = False
        self._is_long = False

    def start(self) -> None:
        """Look after commits from now on."""
        self._stopping.clear()

    def note_commit(self) -> None:
        """Look soon."""
        self._committed = True
        if (self._task is None or self._task.done()) and not self._stopping.is_set():
            self._task = asyncio.create_task(self._run(), name="checkpointer")

    async def stop(self) -> None:
        """Look once more after the last commit, and no more then. Stopping twice does nothing."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])  # whoever is cancelled here may come again

    async def _run(self) -> None:
        while self._committed:
            self._committed = False
            try:
                await self._look()
            except Exception as error:  # the log is whole, whatever it was, and the next one carries it over
                if not self._has_fault:
                    log.warning("store.checkpoint_failed", error=str(error))
                pause_s, self._has_fault = FAULT_PAUSE_S, True
            else:
                pause_s, self._has_fault = LOOK_EVERY_S, False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _look(self) -> None:
        length = await asyncio.to_thread(measure, self._database)
        if length.pages < PAGES_LONG:
            self._is_long = False
        elif not self._is_long:
            self._is_long = True
            log.warning("store.long_log", pages=length.pages, reason="A reader stays, or a process holds the log.")
        known = self._known.pages if self._known.salts == length.salts else 0
        if length.pages - known >= PAGES:
            # Where there is no file none is made, and the first statement fails.
            uri = f"file:{quote(str(self._database))}?mode=rw"
            async with aiosqlite.connect(uri, uri=True, isolation_level=None) as connection:
                for pragma in _PRAGMAS:
                    await connection.execute_fetchall(pragma)
                await self._carry(connection, length)

    async def _carry(self, connection: aiosqlite.Connection, length: Length) -> None:
        done = await _checkpoint(connection, "PASSIVE")
        if done.is_busy:  # another process is at it
            return
        self._known = length._replace(pages=done.pages)
        if done.pages - done.carried < PAGES:  # else a reader that stays needs the file as it was before
            await self._finish(connection)
            await self._wait_for_readers(connection, length)

    async def _finish(self, connection: aiosqlite.Connection) -> None:
        """Carry over what was written meanwhile, until nothing was written meanwhile."""
        for hold_s in HOLDS_S:
            if self._stopping.is_set():
                break
            async with self._alone():
                step = asyncio.create_task(_checkpoint(connection, "PASSIVE"))
                await asyncio.wait([step], timeout=hold_s)
                is_whole = step.done()
            await step
            if is_whole:
                break

    async def _wait_for_readers(self, connection: aiosqlite.Connection, length: Length) -> None:
        """Readers that come and go, one always before the other has gone, would keep the log from beginning anew."""
        now_s = asyncio.get_running_loop().time()
        if length.pages > PAGES_MAX and now_s - self._restarted_at >= READERS_EVERY_S:
            self._restarted_at = now_s
            wait_ms = min(READERS_MOST_MS, READERS_MS * length.pages // PAGES_MAX)
            await connection.execute_fetchall(f"PRAGMA busy_timeout={wait_ms}")
            async with self._alone():
                await _checkpoint(connection, "RESTART")


async def _checkpoint(connection: aiosqlite.Connection, mode: str) -> _Done:
    (row,) = await connection.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")
    return _Done(*row)


def measure(database: Path) -> Length:
    """Find how much of the log's file is in use: what is left of an earlier round has other salts."""
    try:
        file = os.open(f"{database}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Length(b"", 0)
    try:
        header = os.pread(file, _HEADER, 0)
        if len(header) < _HEADER:
            return Length(b"", 0)
        size, salts = _FRAME_HEADER + int.from_bytes(header[8:12], "big"), header[16:24]

        def is_old(frame: int) -> bool:
            return os.pread(file, 8, _HEADER + frame * size + 8) != salts

        frames = range((os.fstat(file).st_size - _HEADER) // size)
        return Length(salts, bisect_left(frames, True, key=is_old))
    finally:
        os.close(file)
