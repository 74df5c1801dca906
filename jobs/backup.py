"""Backing the database up, verifying a backup, and restoring it: the steps, for both databases.

Redis needs no backup: it is filled from what the database has accepted. Jobs of durability MEMORY that have not ended
are in Redis only, and in no backup.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from jobs import archive
from jobs.archive import SUFFIX, Manifest
from jobs.clock import new_id, now_ms
from jobs.effort import of_thread
from jobs.errors import BackupFailed, BackupInvalid
from jobs.room import Room
from jobs.store import Migrator
from jobs.store import copy_postgres as postgres
from jobs.store import copy_sqlite as sqlite
from jobs.store.backup import Backup
from jobs.store.config import sqlite_path
from jobs.store.describe import Described
from jobs.version import version

T = TypeVar("T")

_NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of restoring a backup."""

    manifest: Manifest
    migrations: list[str]
    """Those that were applied, because the backup was older than this QueueQL."""
    kept: Path | None
    """SQLite: where the replaced database is now."""


def default_name(at_ms: int) -> str:
    """Name of a backup's file: the time (UTC) sorts it."""
    return f"queueql-{datetime.fromtimestamp(at_ms / 1000, UTC):%Y%m%dT%H%M%S}Z{SUFFIX}"


async def make(url: str, target: Path, *, keep_free_bytes: int = 0) -> Backup:
    """Back the database up, while it is used, into the new file `target`, or one in it where it is a folder.

    The file has its name once it is whole. Raises BackupFailed, also before less than `keep_free_bytes` of its disk
    are free, and StoreUnavailable.
    """
    at_ms = now_ms()
    target = _new_file(target, at_ms)
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise BackupFailed(f"There is no database at {path}.")
    with archive.work_folder(target) as folder:
        room, copy = Room(folder, keep_free_bytes), folder / "copy"
        if path:
            room.check(await sqlite.size(path) * 3 // 2)  # the copy, and what remains of it when it is packed
        described = await room.watch(sqlite.take(path, copy) if path else postgres.take(url, copy))
        if not described.migration:
            raise BackupFailed("The database has none of QueueQL's tables: there is nothing to back up.")
        size_bytes = copy.stat().st_size
        room.check(size_bytes // 2 if path else size_bytes)
        manifest = Manifest(
            id=new_id(),
            queueql=version(),
            dialect="sqlite" if path else "postgres",
            migration=described.migration,
            created_ms=at_ms,
            counts=described.counts,
            size_bytes=size_bytes,
            sha256=await _in_thread(archive.checksum, copy),
        )
        packed_bytes = await room.watch(_in_thread(archive.pack, copy, manifest, target))
    return Backup(id=manifest.id, path=str(target), size_bytes=packed_bytes, created_ms=at_ms, counts=manifest.counts)


async def verify(url: str, source: Path, *, keep_free_bytes: int = 0) -> Manifest:
    """Restore a backup into a scratch place, and compare what is there with what its manifest says.

    SQLite: a file in a folder beside the backup. PostgreSQL: a database on the server of `url`, whose user needs
    CREATEDB. Raises BackupInvalid for what is wrong with it; BackupFailed, also before less than `keep_free_bytes` of
    the disk of the backup are free, and StoreUnavailable where it could not be told.
    """
    with archive.work_folder(source) as folder:
        room = Room(folder, keep_free_bytes)
        manifest, copy = await _unpacked(source, folder, room)
        if manifest.dialect == "sqlite":
            found = await sqlite.check(copy)
        elif sqlite_path(url) is not None:
            raise _wrong_kind(source, manifest, "sqlite")
        else:
            found = await room.watch(postgres.check(url, copy, Described(manifest.migration, manifest.counts)))
    _compare(source, manifest, found)
    return manifest


async def restore(url: str, source: Path, *, force: bool = False, keep_free_bytes: int = 0) -> Restored:
    """Replace the database by a backup. Nothing may run on it; `force`: PostgreSQL ends the connections of others.

    Either all is replaced or nothing. An older backup is migrated: that of SQLite before it takes the place, that of
    PostgreSQL afterwards, so that `queueql migrate` has to go on where that is interrupted. Whoever starts next begins
    an epoch, in which Redis is made to hold what the backup knows. At least `keep_free_bytes` of the disk that the
    backup is unpacked on stay free. Raises BackupInvalid, DatabaseInUse, BackupFailed, StoreUnavailable.
    """
    path = sqlite_path(url)
    manifest = await asyncio.to_thread(archive.read, source)
    if (manifest.dialect == "sqlite") != (path is not None):
        raise _wrong_kind(source, manifest, "postgres" if path is None else "sqlite")
    if manifest.migration not in Migrator().versions():
        raise BackupInvalid(
            f"The backup {source} was made by a newer QueueQL ({manifest.queueql}, {manifest.migration}):"
            " restore it with that version."
        )
    if path is None:
        if not force:
            await postgres.check_unused(url)
        with archive.work_folder(source) as folder:
            return await _restore_postgres(url, source, folder, Room(folder, keep_free_bytes), force=force)
    async with sqlite.replaceable(path) as epoch_min:
        with archive.work_folder(path) as folder:
            return await _restore_sqlite(path, source, folder, Room(folder, keep_free_bytes), epoch_min)


async def _restore_sqlite(path: Path, source: Path, folder: Path, room: Room, epoch_min: int) -> Restored:
    manifest, copy = await _unpacked(source, folder, room)
    _compare(source, manifest, await sqlite.check(copy))
    migrations = await Migrator().migrate(f"sqlite://{copy.absolute()}")
    await sqlite.mark(copy, epoch_min)
    kept = await _in_thread(lambda _: sqlite.put(copy, path))
    return Restored(manifest=manifest, migrations=migrations, kept=kept)


async def _restore_postgres(url: str, source: Path, folder: Path, room: Room, *, force: bool) -> Restored:
    manifest, copy = await _unpacked(source, folder, room)
    described = Described(manifest.migration, manifest.counts)
    await postgres.put(url, copy, described, epoch_min=await postgres.epoch(url), force=force)
    migrations = await Migrator().migrate(url)
    return Restored(manifest=manifest, migrations=migrations, kept=None)


def _new_file(target: Path, at_ms: int) -> Path:
    target = (target / default_name(at_ms) if target.is_dir() else target).absolute()
    if target.exists():
        raise BackupFailed(f"{target} exists already: a backup replaces no file.")
    return target


async def _unpacked(source: Path, folder: Path, room: Room) -> tuple[Manifest, Path]:
    copy = folder / "queueql.db"
    room.check((await asyncio.to_thread(archive.read, source)).size_bytes)
    return await room.watch(_in_thread(archive.unpack, source, copy)), copy


async def _in_thread(work: Callable[..., T], *values: object) -> T:
    """Do the work in a thread, and wait for it also where the caller is cancelled: its `stop` is set then."""
    stop = threading.Event()

    def do() -> T:
        with of_thread():
            return work(*values, stop)

    working = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([working])
        working.exception()  # that it was given up is no news
        raise


def _compare(source: Path, manifest: Manifest, found: Described) -> None:
    if found == Described(manifest.migration, manifest.counts):
        return
    tables = sorted(set(found.counts) | set(manifest.counts))
    wrong = [
        f"{name} {found.counts.get(name, 0):,} instead of {manifest.counts.get(name, 0):,}"
        for name in tables
        if found.counts.get(name) != manifest.counts.get(name)
    ] or [f"its newest migration is {found.migration} instead of {manifest.migration}"]
    raise BackupInvalid(f"The backup {source} has not the rows that its manifest says: {', '.join(wrong)}.")


def _wrong_kind(source: Path, manifest: Manifest, configured: str) -> BackupInvalid:
    return BackupInvalid(
        f"The backup {source} is of {_NAMES[manifest.dialect]}, and the database of the settings is"
        f" {_NAMES[configured]}: set QUEUEQL_DATABASE_URL."
    )
