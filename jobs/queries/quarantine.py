"""Queries about records that could not be read."""

from __future__ import annotations

from jobs.page import Page, PageRequest
from jobs.quarantine import Quarantined
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise


class QuarantineQueries:
    """What could not be read, as it was found. It may hold arguments and results of any job: for admins."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Quarantined]:
        """Return a page of records, the newest first. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.ADMINISTER)
        return await self._store.quarantine.page(page)

    async def get(self, viewer: Viewer, record_id: str) -> Quarantined | None:
        """Return a record, None where there is none. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.ADMINISTER)
        return await self._store.quarantine.find(record_id)
