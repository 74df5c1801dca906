"""Queries about backups."""

from __future__ import annotations

from jobs.store import Backup, Store
from jobs.viewer import Permission, Viewer, authorise


class BackupQueries:
    """The backups that were made. They name files of servers: for admins."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self, viewer: Viewer, limit: int) -> list[Backup]:
        """Return the newest, the latest first. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.ADMINISTER)
        return await self._store.backups.newest(limit)
