"""Copies of a SQLite database: taken while it is in use, and put in its place while it is not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from jobs.effort import of_thread
from jobs.errors import BackupFailed, BackupInvalid, DatabaseInUse
from jobs.store.describe import Described, newest
from jobs.store.sqlite import BUSY_MS

T = TypeVar("T")

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_INTERRUPT_S = 0.05
_BESIDE = ("-wal", "-shm")


async def size(path: Path) -> int:
    """Return how many bytes a copy of the database has, at most. Raises BackupFailed."""

    def read(connection: sqlite3.Connection) -> int:
        pages, free, page_bytes = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page_bytes

    with _failing(f"The database {path} cannot be copied"):
        return await _on(path, read)


async def take(path: Path, to: Path) -> Described:
    """Copy the database to a new file, as of one moment, while others read and write. Raises BackupFailed.

    Its write-ahead log grows until the copy is made.
    """

    def copy(connection: sqlite3.Connection) -> None:
        connection.execute("VACUUM INTO ?", (str(to),))

    with _failing(f"The database {path} cannot be copied"):
        os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        await _on(path, copy)
        return await _on(to, _describe)


async def check(copy: Path) -> Described:
    """Read every page of a copy, and count its rows. Raises BackupInvalid."""

    def read(connection: sqlite3.Connection) -> Described:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise BackupInvalid(f"The database in the backup is damaged: {found}.")
        return _describe(connection)

    try:
        return await _on(copy, read)
    except sqlite3.Error as error:
        raise BackupInvalid(f"The backup holds no SQLite database that can be read: {error}.") from error


async def mark(copy: Path, epoch_min: int) -> None:
    """Make the copy distrust every Redis: the next process to look begins an epoch. Raises BackupFailed."""

    def update(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE epoch SET number = max(number, ?), run_id = '' WHERE id = 1", (epoch_min,))
        connection.execute("PRAGMA journal_mode=DELETE")  # so that the file is all there is

    with _failing("The restored database cannot be prepared"):
        await _on(copy, update)


@asynccontextmanager
async def replaceable(path: Path) -> AsyncIterator[int]:
    """Keep every process off the database in the block, and yield its epoch, 0 where there is none that can be read.

    Whoever starts meanwhile finds it locked, and afterwards, where it has opened the file before, that it was moved.
    Raises DatabaseInUse where any process has it open. One that is damaged, or not there, passes.
    """
    with ExitStack() as held:
        yield await asyncio.to_thread(_seize, path, held)


def _seize(path: Path, held: ExitStack) -> int:
    try:
        connection = held.enter_context(closing(_connect(path, busy_ms=1_000)))
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # so that nobody comes between the next two
        # SQLite allows this to the only connection there is.
        is_alone = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete"
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
            return 0
        is_alone = False
    except sqlite3.DatabaseError:
        return 0
    if not is_alone:
        raise DatabaseInUse(f"Another process has the database {path} open: stop every process of QueueQL first.")
    with contextlib.suppress(sqlite3.Error, TypeError):
        return int(connection.execute("SELECT number FROM epoch WHERE id = 1").fetchone()[0])
    return 0


def put(copy: Path, target: Path) -> Path | None:
    """Put the copy, on the same disk, in the place of the database; return where the replaced one is now.

    It has the owner and the mode of the replaced one from then on; where there is none, the owner of the folder.
    At every moment there is a whole database, the one or the other. Raises BackupFailed.
    """
    kept: Path | None = None
    try:
        _give(copy, target)
        _sync(copy, os.O_RDWR)
        if target.exists():
            kept = target.with_name(f"{target.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.replaced")
            try:
                os.link(target, kept)
            except OSError:  # a file system without links
                target.rename(kept)
            for name in _BESIDE:  # of a damaged one, or of one whose processes were killed
                with contextlib.suppress(FileNotFoundError):
                    target.with_name(target.name + name).rename(kept.with_name(kept.name + name))
        copy.replace(target)
        _sync(target.parent, os.O_RDONLY)
    except OSError as error:
        raise BackupFailed(f"The database {target} cannot be replaced: {error.strerror}.") from error
    return kept


def _give(copy: Path, target: Path) -> None:
    exists = target.exists()
    like = (target if exists else target.parent).stat()
    with contextlib.suppress(PermissionError):  # only root gives files away
        os.chown(copy, like.st_uid, like.st_gid)
    if exists:
        copy.chmod(stat.S_IMODE(like.st_mode))


def _describe(connection: sqlite3.Connection) -> Described:
    tables = sorted(row[0] for row in connection.execute(_TABLES))
    counts = {name: int(connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}  # noqa: S608  # names that the database gave
    applied = connection.execute("SELECT version FROM aerich").fetchall() if "aerich" in counts else []
    return Described(newest([row[0] for row in applied]), counts)


async def _on(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do the work in a thread, on a connection of its own; interrupted where the caller is cancelled."""
    connection = _connect(path, busy_ms=BUSY_MS)

    def do() -> T:
        with of_thread(), closing(connection):
            return work(connection)

    working = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():  # between two statements there is nothing to interrupt
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed already
                connection.interrupt()
            await asyncio.wait([working], timeout=_INTERRUPT_S)
        working.exception()  # that it was interrupted is no news
        raise


def _connect(path: Path, *, busy_ms: int) -> sqlite3.Connection:
    """Open the file, in any thread. Where there is none none is made: that raises sqlite3.OperationalError."""
    name = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(name, uri=True, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupFailed(f"{what}: {error}.") from error
    except OSError as error:
        raise BackupFailed(f"{what}: {error.strerror}.") from error


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
