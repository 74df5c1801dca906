"""A fresh, migrated database for each test, on SQLite and on PostgreSQL. Imported by conftest.py."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from jobs.store.migrate import Migrator
from tests.postgres_server import PostgresServer

DIALECTS = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "queueql.db"
    asyncio.run(Migrator().migrate(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """Name of a migrated database that others are copied from."""
    name = f"queueql_template_{uuid.uuid4().hex}"
    asyncio.run(run_sql(postgres_server.url, f"CREATE DATABASE {name}"))
    asyncio.run(Migrator().migrate(with_database(postgres_server.url, name)))
    yield name
    asyncio.run(run_sql(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Runs the test once for each database."""
    name: str = request.param
    return name


@pytest.fixture
async def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """URL of a database of the newest schema, for this test alone."""
    if dialect == "sqlite":
        path = tmp_path / "queueql.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite://{path}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        async for url in fresh_postgres(server, template=request.getfixturevalue("postgres_template")):
            yield url


@pytest.fixture
async def empty_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """URL of a database without any table; SQLite's file does not exist."""
    if dialect == "sqlite":
        yield f"sqlite://{tmp_path}/data/queueql.db"
    else:
        async for url in fresh_postgres(request.getfixturevalue("postgres_server")):
            yield url


async def fresh_postgres(server: PostgresServer, template: str = "template1") -> AsyncIterator[str]:
    name = f"queueql_{uuid.uuid4().hex}"
    await run_sql(server.url, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield with_database(server.url, name)
    finally:
        await run_sql(server.url, f"DROP DATABASE {name} WITH (FORCE)")


async def run_sql(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql)
        return rows
    finally:
        await connection.close()


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
