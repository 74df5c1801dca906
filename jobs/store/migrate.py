"""Bringing a database up to date, once, whoever else tries at the same time. `aerich` can go on from there."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs.errors import DatabaseUnreachable, SchemaAhead, StoreUnavailable
from jobs.store import postgres, sqlite
from jobs.store.config import ALIAS, APP, sqlite_path
from jobs.store.database import Database, Transaction
from jobs.store.figures import Meter

FOLDER = Path(__file__).parents[2] / "migrations" / APP
_LOCK = 0x51_75_65_75_65_51_4C  # "QueueQL": PostgreSQL's advisory lock of migrations
_WAIT_S = 600.0  # another process may be copying a large file


class SchemaState(StrEnum):
    """How the database compares with the code."""

    BEHIND = "behind"
    """Migrations are missing; `queueql migrate` applies them."""
    CURRENT = "current"
    AHEAD = "ahead"
    """It has migrations that this code does not know."""


class Migrator:
    """Applies the files of `folder` in order and notes them in aerich's table."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    async def state(self, url: str) -> SchemaState:
        """Compare. Raises DatabaseUnreachable."""
        path = sqlite_path(url)
        if path is not None and not path.exists():
            return SchemaState.BEHIND
        async with connected(url) as database:
            return await self.state_of(database)

    async def state_of(self, database: Database) -> SchemaState:
        """Compare a database that is connected to. Raises StoreUnavailable."""
        applied, known = set(await _applied(database)), set(self.versions())
        if applied - known:
            return SchemaState.AHEAD
        return SchemaState.BEHIND if known - applied else SchemaState.CURRENT

    async def migrate(self, url: str) -> list[str]:
        """Apply what is missing and return the names of it; nothing when another process was first.

        SQLite: all or nothing, after a backup beside the file where it holds data. PostgreSQL: each migration on
        its own. Raises DatabaseUnreachable, SchemaAhead, StoreUnavailable (locked for too long, disk full).
        """
        async with connected(url) as database:
            if isinstance(database, sqlite.Client):
                return await self._migrate_sqlite(database)
            return await self._migrate_postgres(database)

    def versions(self) -> list[str]:
        """File names of all migrations, oldest first."""
        names = [path.name for path in self._folder.glob("*.py") if re.match(r"\d+_", path.name)]
        return sorted(names, key=lambda name: int(name.partition("_")[0]))

    async def _migrate_sqlite(self, database: sqlite.Client) -> list[str]:
        async with database.alone(_WAIT_S) as connection:
            missing = self._missing(await _applied(database))
            if missing:
                if await _tables(database):
                    await _backup(connection, Path(database.filename))
                async with connection.transaction() as transaction:
                    for version in missing:
                        await self._apply(transaction, database, version)
        return missing

    async def _migrate_postgres(self, database: postgres.Client) -> list[str]:
        async with database.alone(_LOCK, int(_WAIT_S * 1000)) as connection:
            missing = self._missing(await _applied(database))
            for version in missing:
                if getattr(self._module(version), "RUN_IN_TRANSACTION", True):
                    async with connection.transaction() as transaction:
                        await self._apply(transaction, database, version)
                else:
                    await self._apply(connection, database, version)
        return missing

    def _missing(self, applied: Sequence[str]) -> list[str]:
        known = self.versions()
        if set(applied) - set(known):
            raise SchemaAhead(ahead_text(set(applied) - set(known)))
        return [version for version in known if version not in applied]

    async def _apply(self, transaction: Transaction, database: sqlite.Client | postgres.Client, version: str) -> None:
        module = self._module(version)
        script: str = await module.upgrade(database)
        for part in sqlite.statements(script) if database.dialect == "sqlite" else (script,):
            await transaction.execute(part)
        insert = "INSERT INTO aerich (version, app, content) VALUES ($1, $2, $3)"
        await transaction.execute(insert, (version, APP, _content(module)))

    def _module(self, version: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"queueql_migration_{version[:-3]}", self._folder / version)
        if spec is None or spec.loader is None:
            raise ImportError(f"The migration {version} cannot be read.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def ahead_text(versions: set[str]) -> str:
    """Sentence for SchemaAhead."""
    return (
        f"The database was migrated by a newer QueueQL ({', '.join(sorted(versions))}): "
        "start that version, or use another database."
    )


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[sqlite.Client | postgres.Client]:
    """Connect for the length of the block. Creates SQLite's folder and file. Raises DatabaseUnreachable."""
    database = await connect(url)
    try:
        yield database
    finally:
        await database.close()


async def connect(url: str, meter: Meter | None = None) -> sqlite.Client | postgres.Client:
    """Connect; SQLite's folder (mode 0700) and file (0600) are made where missing. Raises DatabaseUnreachable."""
    path = sqlite_path(url)
    database: sqlite.Client | postgres.Client
    if path is None:
        database = postgres.Client(url, meter=meter, connection_name=ALIAS)
    else:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
        except OSError as error:
            raise DatabaseUnreachable(f"The database file {path} cannot be opened: {error.strerror}.") from error
        database = sqlite.Client(str(path), meter=meter, connection_name=ALIAS)
    try:
        await database.connect()
    except BaseException as error:
        await database.close()
        if not isinstance(error, (StoreUnavailable, ValueError)):
            raise
        where = f"The database file {path}" if path else "The PostgreSQL of QUEUEQL_DATABASE_URL"
        raise DatabaseUnreachable(f"{where} cannot be used. {error}") from error
    return database


async def _applied(database: Database) -> list[str]:
    if "aerich" not in await _tables(database):
        return []
    rows = await database.fetch("SELECT version FROM aerich WHERE app = $1 ORDER BY id", (APP,))
    return [row["version"] for row in rows]


async def _tables(database: Database) -> set[str]:
    if database.dialect == "sqlite":
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    else:
        sql = "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
    return {row["name"] for row in await database.fetch(sql)}


async def _backup(connection: sqlite.Alone, path: Path) -> None:
    now = datetime.now(UTC)
    copy = path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%S%fZ}.backup")
    copy.touch(mode=0o600, exist_ok=False)
    await connection.execute("VACUUM INTO $1", (str(copy),))


def _content(module: Any) -> str:
    # Only migrations need aerich, whose import takes as long as that of the whole store.
    from aerich.coder import encoder  # noqa: PLC0415  # see above
    from aerich.utils import decompress_dict  # noqa: PLC0415  # see above

    return encoder(decompress_dict(module.MODELS_STATE))
