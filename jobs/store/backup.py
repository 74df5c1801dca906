"""The backups that were made of this database, and whether they could be restored."""

from __future__ import annotations

import os
import socket

import msgspec

from jobs.store.database import Database, Row

KEPT_MAX = 1_000
"""Notes that are kept; the oldest give way. The files are not touched."""

_INSERT = (
    "INSERT INTO backup (id, path, size_bytes, created_ms, counts, verified_ms, fault)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET path = excluded.path"
)
_NAMES = "id, path, size_bytes, created_ms, counts, verified_ms, fault"
_MAKE_ROOM = (
    "DELETE FROM backup WHERE id NOT IN"  # noqa: S608  # a number of ours
    f" (SELECT id FROM backup ORDER BY created_ms DESC, id DESC LIMIT {KEPT_MAX})"
)
# A backend that waits for a lock, or for whoever reads from it or writes to it, does nothing.
_WORKS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'"
    " AND COALESCE(wait_event_type, '') NOT IN ('Lock', 'Client')"
)
_NEWEST = f"SELECT {_NAMES} FROM backup ORDER BY created_ms DESC, id DESC LIMIT $1"  # noqa: S608  # names of our own columns


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made."""

    id: str
    path: str
    """Where it was written, on the machine that made it."""
    size_bytes: int
    created_ms: int
    counts: dict[str, int]
    """Rows by table."""
    verified_ms: int | None = None
    """When it was last restored into a scratch place and found to be whole; None: never."""
    fault: str | None = None
    """What was wrong with it when it was last looked at; None: nothing."""


def application_name() -> str:
    """Name of this process's connections to PostgreSQL that make and restore copies, and of its programs'."""
    return f"queueql backup {os.getpid()}@{socket.gethostname()}"[:63]  # PostgreSQL keeps no more


class Backups:
    """The table of backups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, backup: Backup) -> None:
        """Note a backup that was made. Raises StoreUnavailable."""
        counts = msgspec.json.encode(backup.counts).decode()
        values = (
            backup.id,
            backup.path,
            backup.size_bytes,
            backup.created_ms,
            counts,
            backup.verified_ms,
            backup.fault,
        )
        async with self._database.transaction() as transaction:
            await transaction.execute(_INSERT, values)
            await transaction.execute(_MAKE_ROOM)

    async def verified(self, backup_id: str, at_ms: int, fault: str | None) -> bool:
        """Note what verifying it has found; False where there is no such backup. Raises StoreUnavailable."""
        sql = "UPDATE backup SET fault = $2, verified_ms = COALESCE($3, verified_ms) WHERE id = $1"
        async with self._database.transaction() as transaction:
            return await transaction.execute(sql, (backup_id, fault, None if fault else at_ms)) > 0

    async def removed(self, path: str) -> None:
        """Forget the backup whose file was removed. Raises StoreUnavailable."""
        async with self._database.transaction() as transaction:
            await transaction.execute("DELETE FROM backup WHERE path = $1", (path,))

    async def is_served(self) -> bool:
        """Tell whether the server works on a copy for this process right now. Raises StoreUnavailable."""
        if self._database.dialect == "sqlite":
            return False
        return bool((await self._database.fetch(_WORKS, (application_name(),)))[0][0])

    async def newest(self, limit: int = 100) -> list[Backup]:
        """Return the newest, the latest first. Raises StoreUnavailable."""
        return [_backup(row) for row in await self._database.fetch(_NEWEST, (limit,))]


def _backup(row: Row) -> Backup:
    values = {name: row[name] for name in Backup.__struct_fields__}
    return Backup(**{**values, "counts": msgspec.json.decode(row["counts"], type=dict[str, int])})
