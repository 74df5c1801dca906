"""Copies of a PostgreSQL database, made and restored by PostgreSQL's own programs: pg_dump, pg_restore and psql.

Only the tables of QueueQL are in a copy. It is restored in one transaction, which replaces them all or none.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.errors import BackupFailed, BackupInvalid, DatabaseInUse
from jobs.store.backup import application_name
from jobs.store.describe import Described, newest
from jobs.store.faults import connecting, postgres_faults
from jobs.store.postgres import CONNECT_S
from jobs.store.program import ProgramFailed, feed, major_version, run

SCRATCH = "queueql_verify_"
_SCRATCH_MAX_S = 86_400
_OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY($1::text[])"
_REFUSES = {"pg_restore": 1, "psql": 3}
"""Exit codes: the copy cannot be read; a statement of it has failed. psql has lost its connection with 2."""
_NOT_ITS_FAULT = re.compile(r"\bERROR:  5[378]")
"""SQLSTATEs of a server that has no room or memory, is being stopped, or whose disk fails."""
_BEGIN = "BEGIN;\nSET LOCAL lock_timeout = '10s';\n"
_END = """
RESET search_path;
DO $$ BEGIN {checks} END $$;
UPDATE epoch SET number = GREATEST(number, {epoch}), run_id = '' WHERE id = 1;
COMMIT;
"""
_CHECK = (
    "IF (SELECT count(*) FROM {table}) <> {count} THEN"
    " RAISE EXCEPTION 'the table {table} has not the {count} rows that the backup has'; END IF;"
)


async def take(url: str, to: Path) -> Described:
    """Copy the database to a new file, as of one moment, while others read and write.

    Raises BackupFailed, DatabaseUnreachable's cause as StoreUnavailable.
    """
    async with _connected(url) as connection:
        await _check_program("pg_dump", connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            schema = await connection.fetchval("SELECT current_schema()")
            described = await _describe(connection)
            tables = [f'--table="{schema}"."{name}"' for name in described.counts]
            options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={to}"]
            await run(["pg_dump", *options, *tables, f"--dbname={_without_password(url)}"], _environ(url))
    return described


async def check_unused(url: str) -> None:
    """Raise DatabaseInUse where anybody else is connected to the database."""
    async with _connected(url) as connection:
        names = await connection.fetch(f"SELECT application_name {_OTHERS}")
    if names:
        who = ", ".join(sorted({row[0] or "a program without a name" for row in names}))
        raise DatabaseInUse(
            f"Somebody is connected to the database ({who}): stop every process of QueueQL first;"
            " --force ends their connections."
        )


async def put(url: str, copy: Path, described: Described, *, epoch_min: int, force: bool = False) -> None:
    """Replace the tables by those of the copy, in one transaction; it counts their rows before it commits.

    `force` ends the connections of others. Everything is as it was where it raises BackupInvalid for what PostgreSQL
    does not take, BackupFailed or StoreUnavailable.
    """
    async with _connected(url) as connection:
        await _check_program("pg_restore", connection)
        if force:
            await connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}")
        there = set((await _describe(connection)).counts) | set(described.counts)
    checks = " ".join(_CHECK.format(table=_name(table), count=count) for table, count in described.counts.items())
    drops = "".join(f"DROP TABLE IF EXISTS {_name(table)};\n" for table in sorted(there))
    options = ["-X", "-q", "-w", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"]
    try:
        await feed(
            ["pg_restore", "--no-owner", "--no-privileges", "--file=-", str(copy)],
            ["psql", *options, f"--dbname={_without_password(url)}"],
            before=_BEGIN + drops,
            after=_END.format(checks=checks, epoch=int(epoch_min)),
            environ=_environ(url),
        )
    except ProgramFailed as error:
        if error.ended_with == _REFUSES[error.program] and not _NOT_ITS_FAULT.search(error.fault):
            raise BackupInvalid(f"The backup cannot be restored: {error}") from error
        raise


async def epoch(url: str) -> int:
    """Return the epoch of a database, 0 where it has none. Raises StoreUnavailable."""
    async with _connected(url) as connection:
        with contextlib.suppress(asyncpg.UndefinedTableError):
            return int(await connection.fetchval("SELECT number FROM epoch WHERE id = 1") or 0)
    return 0


async def check(url: str, copy: Path, described: Described) -> Described:
    """Restore the copy into a database that is made for that on the same server, and removed at the end.

    Raises BackupInvalid where it cannot be restored; BackupFailed where that could not be tried, as without the
    privilege to make a database; StoreUnavailable.
    """
    async with _connected(url) as connection:
        await _check_program("pg_restore", connection)
    async with _scratch(url) as scratch:
        await put(scratch, copy, described, epoch_min=0)
        async with _connected(scratch) as connection:
            return await _describe(connection)


@asynccontextmanager
async def _scratch(url: str) -> AsyncIterator[str]:
    name = f"{SCRATCH}{int(time.time())}_{secrets.token_hex(4)}"
    async with _connected(url) as connection:
        await _drop_forgotten(connection)
        try:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        except asyncpg.InsufficientPrivilegeError as error:
            raise BackupFailed(
                "To verify a backup, QueueQL makes a database beside its own, and its user may not: grant CREATEDB."
            ) from error
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        async with _connected(url) as connection:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _drop_forgotten(connection: asyncpg.Connection) -> None:
    """Drop what verifications left behind that were killed."""
    rows = await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", SCRATCH)
    for row in rows:
        made_s = row[0].removeprefix(SCRATCH).partition("_")[0]
        if made_s.isdigit() and time.time() - int(made_s) > _SCRATCH_MAX_S:
            await connection.execute(f'DROP DATABASE IF EXISTS "{row[0]}" WITH (FORCE)')


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    settings = {"application_name": application_name(), "idle_in_transaction_session_timeout": "0"}
    with connecting():
        connection = await asyncpg.connect(url, timeout=CONNECT_S, server_settings=settings)
    try:
        with postgres_faults():
            yield connection
    finally:
        await connection.close(timeout=CONNECT_S)


async def _describe(connection: asyncpg.Connection) -> Described:
    tables = sorted(row[0] for row in await connection.fetch(_TABLES, [*_ours()]))
    counts = {name: int(await connection.fetchval(f'SELECT count(*) FROM "{name}"')) for name in tables}  # noqa: S608  # names of our own tables
    applied = await connection.fetch("SELECT version FROM aerich") if "aerich" in counts else []
    return Described(newest([row[0] for row in applied]), counts)


async def _check_program(program: str, connection: asyncpg.Connection) -> None:
    server = int(await connection.fetchval("SHOW server_version_num")) // 10_000
    client = await major_version(program)
    if client < server:
        raise BackupFailed(
            f"{program} on the PATH is of PostgreSQL {client} and the server of {server}: install the client programs"
            f" of PostgreSQL {server}."
        )


def _ours() -> set[str]:
    # Tortoise takes a quarter of a second, and only backups need the list.
    from jobs.store import models  # noqa: PLC0415  # see above

    return {getattr(models, name).Meta.table for name in models.__all__} | {"aerich"}


def _name(table: str) -> str:
    if not re.fullmatch(r"[a-z_]{1,63}", table):
        raise BackupFailed("The backup has a table whose name is none of QueueQL's.")
    return f'"{table}"'


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}"))


def _environ(url: str) -> Mapping[str, str]:
    """Hand the password over where no list of processes shows it."""
    password = urlsplit(url).password
    given = {"PGPASSWORD": unquote(password)} if password else {}
    return {**os.environ, "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": application_name(), **given}
