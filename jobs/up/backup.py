"""The commands `queueql backup` and `queueql restore`: what has to hold before, and what is said afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from jobs import archive, backup
from jobs.backup import Restored
from jobs.broker import Broker
from jobs.clock import now_ms
from jobs.embedded import socket_of
from jobs.errors import BackupInvalid, DatabaseInUse, RedisUnreachable, StartError, StoreUnavailable
from jobs.settings import Settings
from jobs.store import Store
from jobs.store.backup import Backup
from jobs.store.config import database_url, sqlite_path
from jobs.up.folder import DataFolder

log = structlog.get_logger(__name__)


def written(at_ms: int) -> str:
    """Write a time for a person: `2026-11-26 05:24:00 UTC`."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def make(settings: Settings, target: Path | None) -> Backup:
    """Back the database of the settings up, and note it there. Default: into `settings.backup_folder`.

    Raises BackupFailed, StoreUnavailable.
    """
    url = database_url(settings)
    target = target or settings.backup_folder / backup.default_name(now_ms())
    made = await backup.make(url, target, keep_free_bytes=settings.disk_min_bytes)
    async with _store(url) as store:
        if store:
            await store.backups.note(made)
    return made


async def verify(settings: Settings, source: Path) -> archive.Manifest:
    """Restore a backup into a scratch place and compare; note what was found. Raises BackupError, StoreUnavailable."""
    url = database_url(settings)
    try:
        manifest = await backup.verify(url, source, keep_free_bytes=settings.disk_min_bytes)
    except BackupInvalid as error:
        with contextlib.suppress(BackupInvalid):
            await _note(url, archive.read(source).id, str(error))
        raise
    await _note(url, manifest.id, None)
    return manifest


async def restore(settings: Settings, source: Path, *, force: bool) -> Restored:
    """Replace the database of the settings by a backup, where nothing runs on it.

    Raises BackupError, DataFolderTaken, StoreUnavailable.
    """
    archive.read(source)  # before anything is locked, made or asked
    folder = DataFolder(settings.data)
    embedded = not (settings.database_url and settings.redis_url)
    if embedded:
        folder.take()
    try:
        if not force:
            await _check_workers(settings, folder)
        return await backup.restore(
            database_url(settings), source, force=force, keep_free_bytes=settings.disk_min_bytes
        )
    finally:
        if embedded:
            folder.release()


async def _check_workers(settings: Settings, folder: DataFolder) -> None:
    """Raise DatabaseInUse where workers hold a lease in Redis. A Redis that does not run has none."""
    socket = socket_of(folder.redis)
    url = settings.redis_url or (f"unix://{socket}" if socket.exists() else "")
    if not url:
        return
    try:
        broker = await Broker.open(url, settings)
    except RedisUnreachable:
        return
    try:
        workers = await broker.workers()
    finally:
        await broker.close()
    if workers:
        holders = "One worker holds" if len(workers) == 1 else f"{len(workers)} workers hold"
        raise DatabaseInUse(
            f"{holders} a lease in Redis: stop every process of QueueQL first, and wait"
            f" {settings.lease_s:.0f} s where one was killed; --force goes on all the same."
        )


async def _note(url: str, backup_id: str, fault: str | None) -> None:
    async with _store(url) as store:
        if store:
            await store.backups.verified(backup_id, now_ms(), fault)


@contextlib.asynccontextmanager
async def _store(url: str) -> AsyncIterator[Store | None]:
    """Open the store, where that is possible: a backup is one also where it cannot be noted."""
    path = sqlite_path(url)
    if path is not None and not path.exists():  # a backup is looked at where there is no database
        yield None
        return
    try:
        store = await Store.open(url)
    except StartError as error:
        log.warning("backup.not_noted", reason=str(error))
        yield None
        return
    try:
        yield store
    except StoreUnavailable as error:
        log.warning("backup.not_noted", reason=str(error))
    finally:
        await store.close()
