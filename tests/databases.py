"""A fresh, migrated database for each test, on SQLite and on PostgreSQL. A plugin of pytest."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from jobs.store.migrate import Migrator
from tests.postgres_server import PostgresServer

T = TypeVar("T")

DIALECTS = ("sqlite", "postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that others are copied from."""
    path = tmp_path_factory.mktemp("template") / "queueql.db"
    _run(Migrator().migrate(f"sqlite://{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """Name of a migrated database that others are copied from."""
    with new_postgres(postgres_server) as url:
        _run(Migrator().migrate(url))
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    """Runs the test once for each database."""
    name: str = request.param
    return name


@pytest.fixture
def database_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database of the newest schema, for this test alone."""
    if dialect == "sqlite":
        path = tmp_path / "queueql.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite://{path}"
    else:
        server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("postgres_template")
        with new_postgres(server, template) as url:
            yield url


@pytest.fixture
def empty_url(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database without any table; SQLite's file does not exist."""
    if dialect == "sqlite":
        yield f"sqlite://{tmp_path}/data/queueql.db"
    else:
        with new_postgres(request.getfixturevalue("postgres_server")) as url:
            yield url


@contextmanager
def new_postgres(server: PostgresServer, template: str = "template1") -> Iterator[str]:
    """Make a database for the length of the block and yield its URL."""
    name = f"queueql_{uuid.uuid4().hex}"
    _run(run_sql(server.url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
    finally:
        _run(run_sql(server.url, f"DROP DATABASE {name} WITH (FORCE)"))


async def run_sql(url: str, sql: str) -> list[asyncpg.Record]:
    """Run one statement on PostgreSQL, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql)
        return rows
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own: fixtures are set up while pytest's loop may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
