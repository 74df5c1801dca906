"""Backing the database up, verifying a backup, and restoring it: the steps, for both databases.

Redis needs no backup: it is filled from what the database has accepted. Jobs of durability MEMORY that have not ended
are in Redis only, and in no backup.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from jobs import archive
from jobs.archive import SUFFIX, Manifest
from jobs.clock import new_id, now_ms
from jobs.errors import BackupFailed, BackupInvalid
from jobs.store import Migrator
from jobs.store import copy_postgres as postgres
from jobs.store import copy_sqlite as sqlite
from jobs.store.backup import Backup
from jobs.store.config import sqlite_path
from jobs.store.describe import Described
from jobs.version import version

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


async def make(url: str, target: Path) -> Backup:
    """Back the database up, while it is used, into the new file `target`, or one in it where it is a folder.

    The file has its name once it is whole. Raises BackupFailed, StoreUnavailable.
    """
    at_ms = now_ms()
    target = _new_file(target, at_ms)
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise BackupFailed(f"There is no database at {path}.")
    with archive.work_folder(target) as folder:
        copy = folder / "copy"
        described = await (sqlite.take(path, copy) if path else postgres.take(url, copy))
        if not described.migration:
            raise BackupFailed("The database has none of QueueQL's tables: there is nothing to back up.")
        manifest = Manifest(
            id=new_id(),
            queueql=version(),
            dialect="sqlite" if path else "postgres",
            migration=described.migration,
            created_ms=at_ms,
            counts=described.counts,
            size_bytes=copy.stat().st_size,
            sha256=await asyncio.to_thread(archive.checksum, copy),
        )
        size_bytes = await asyncio.to_thread(archive.pack, copy, manifest, target)
    return Backup(id=manifest.id, path=str(target), size_bytes=size_bytes, created_ms=at_ms, counts=manifest.counts)


async def verify(url: str, source: Path, beside: Path | None = None) -> Manifest:
    """Restore a backup into a scratch place, and compare what is there with what its manifest says.

    SQLite: a file in a folder beside `beside` (default: the backup). PostgreSQL: a database on the server of `url`,
    whose user needs CREATEDB. Raises BackupInvalid for what is wrong with it, BackupFailed and StoreUnavailable where
    it could not be told.
    """
    with archive.work_folder(beside or source) as folder:
        manifest, copy = await _unpacked(source, folder)
        if manifest.dialect == "sqlite":
            found = await sqlite.check(copy)
        elif sqlite_path(url) is not None:
            raise _wrong_kind(source, manifest, "sqlite")
        else:
            found = await postgres.check(url, copy, Described(manifest.migration, manifest.counts))
    _compare(source, manifest, found)
    return manifest


async def restore(url: str, source: Path, *, force: bool = False) -> Restored:
    """Replace the database by a backup. Nothing may run on it; `force`: PostgreSQL ends the connections of others.

    Either all of it happens or nothing. An older backup is migrated. Whoever starts next begins an epoch, in which
    Redis is made to hold what the backup knows. Raises BackupInvalid, DatabaseInUse, BackupFailed, StoreUnavailable.
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
        return await _restore_postgres(url, source, force=force)
    return await _restore_sqlite(path, source)


async def _restore_sqlite(path: Path, source: Path) -> Restored:
    await sqlite.check_unused(path)
    with archive.work_folder(path) as folder:
        manifest, copy = await _unpacked(source, folder)
        _compare(source, manifest, await sqlite.check(copy))
        migrations = await Migrator().migrate(f"sqlite://{copy.absolute()}")
        await sqlite.check_unused(path)
        await sqlite.mark(copy, await sqlite.epoch(path))
        kept = await asyncio.to_thread(sqlite.put, copy, path)
    return Restored(manifest=manifest, migrations=migrations, kept=kept)


async def _restore_postgres(url: str, source: Path, *, force: bool) -> Restored:
    if not force:
        await postgres.check_unused(url)
    with archive.work_folder(source) as folder:
        manifest, copy = await _unpacked(source, folder)
        described = Described(manifest.migration, manifest.counts)
        await postgres.put(url, copy, described, epoch_min=await postgres.epoch(url), force=force)
    migrations = await Migrator().migrate(url)
    return Restored(manifest=manifest, migrations=migrations, kept=None)


def _new_file(target: Path, at_ms: int) -> Path:
    target = (target / default_name(at_ms) if target.is_dir() else target).absolute()
    if target.exists():
        raise BackupFailed(f"{target} exists already: a backup replaces no file.")
    return target


async def _unpacked(source: Path, folder: Path) -> tuple[Manifest, Path]:
    copy = folder / "queueql.db"
    return await asyncio.to_thread(archive.unpack, source, copy), copy


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
