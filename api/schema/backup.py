"""Backups of the database."""

from __future__ import annotations

from datetime import datetime

import strawberry

from api.context import Info
from jobs.errors import InvalidOption
from jobs.queries import Backup as BackupRecord

_MAX = 100


@strawberry.type
class TableRows:
    """How many rows of a table are in a backup."""

    table: str
    """Name of the table."""
    rows: int
    """How many rows."""


def tables(root: strawberry.Parent[BackupRecord]) -> list[TableRows]:
    """Rows by table."""
    return [TableRows(table=name, rows=count) for name, count in sorted(root.counts.items())]


@strawberry.type
class Backup:
    """A backup of the database that was made, by the services or by `queueql backup`."""

    id: strawberry.ID = strawberry.field(name="archiveId")
    """The id that the file gives itself."""
    path: str
    """Where the file was written, on the machine that made it."""
    size_bytes: int
    """Size of the file."""
    created_ms: datetime = strawberry.field(name="createdAt")
    """When it was begun; what was accepted before is in it."""
    tables: list[TableRows] = strawberry.field(resolver=tables)
    verified_ms: datetime | None = strawberry.field(name="verifiedAt")
    """When it was last restored into a scratch place and found to be whole; null: never."""
    fault: str | None
    """What was wrong when it was last verified; null: nothing."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is such a backup."""
        return isinstance(obj, BackupRecord)


@strawberry.type
class BackupQuery:
    """Queries about backups."""

    @strawberry.field(graphql_type=list[Backup] | None)
    async def backups(self, info: Info, first: int = 20) -> list[BackupRecord]:
        """The backups that were made of this database, the latest first, for admins.

        Args:
            first: So many, 1 to 100.
        """
        if not 1 <= first <= _MAX:
            raise InvalidOption(f"`first` may be 1 to {_MAX}.", path=("first",))
        return await info.context.client.queries.backup.newest(info.context.viewer, first)
