"""What the database says of itself: its size, and who is connected."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jobs.snapshot import DatabaseFigures
from jobs.store.database import Database

_POSTGRES = (
    "SELECT pg_database_size(current_database()) AS size, count(*) AS connections,"
    # Not the one that asks: it would always be active.
    " count(*) FILTER (WHERE state = 'active' AND pid <> pg_backend_pid()) AS active,"
    " current_setting('max_connections')::int AS most"
    " FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
)
_SQLITE = (
    "SELECT page_size, page_count, freelist_count, file FROM pragma_page_size(), pragma_page_count(),"
    " pragma_freelist_count(), pragma_database_list() WHERE name = 'main'"
)


class Server:
    """The database as it sees itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def figures(self) -> DatabaseFigures:
        """Ask how it is. Raises StoreUnavailable."""
        return await (self._postgres() if self._database.dialect == "postgres" else self._sqlite())

    async def _postgres(self) -> DatabaseFigures:
        row = (await self._database.fetch(_POSTGRES))[0]
        return DatabaseFigures(
            dialect="postgres",
            size_bytes=row["size"],
            connections=row["connections"],
            connections_active=row["active"],
            connections_max=row["most"],
        )

    async def _sqlite(self) -> DatabaseFigures:
        row = (await self._database.fetch(_SQLITE))[0]
        return DatabaseFigures(
            dialect="sqlite",
            size_bytes=row["page_size"] * row["page_count"],
            free_bytes=row["page_size"] * row["freelist_count"],
            wal_bytes=await asyncio.to_thread(_size, Path(f"{row['file']}-wal")),
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
