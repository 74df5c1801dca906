"""A database that does not answer is named as such, and comes back without a restart."""

from __future__ import annotations

import asyncio
import fcntl
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from jobs.errors import DatabaseUnreachable, SettingInvalid, StoreUnavailable
from jobs.store import Store, group, turn
from jobs.store.config import database_url as configured_url
from jobs.store.config import sqlite_path
from jobs.store.sqlite import statements
from jobs.where import JobWhere
from tests.databases import run_sql
from tests.factories import make_settings, make_spec
from tests.jobs.store.proxy import CuttingProxy
from tests.postgres_server import PostgresServer

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'queueql'"
FULL_DISK = Path(__file__).with_name("full_disk.py")

postgres_only = pytest.mark.parametrize("dialect", ["postgres"])
sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


@postgres_only
async def test_a_broken_connection_loses_no_job(postgres_server: PostgresServer, store: Store) -> None:
    admin = await asyncpg.connect(postgres_server.url)
    specs = [make_spec(key=f"k{n}") for n in range(400)]
    callers = [asyncio.create_task(store.accept.accept(spec)) for spec in specs]
    for _ in range(20):
        await admin.execute(KILL)
    assert [result.job_id for result in await asyncio.gather(*callers)] == [spec.id for spec in specs]
    await admin.execute(KILL)
    assert (await store.search.count(JobWhere(), limit=1_000)).value == 400
    await admin.close()


@postgres_only
async def test_a_commit_without_an_answer_is_settled_by_repeating_it(store: Store, database_url: str) -> None:
    async with CuttingProxy(database_url, cuts=2) as proxy:
        cut = await Store.open(proxy.url)
        specs = [make_spec(key=f"k{n}", idempotency_key=f"i{n}") for n in range(64)]
        results = await asyncio.gather(*(cut.accept.accept(spec) for spec in specs))
        assert [(result.job_id, result.duplicate) for result in results] == [(spec.id, False) for spec in specs]
        assert proxy.cuts == 0
        await cut.close()
    assert (await store.search.count(JobWhere(), limit=1_000)).value == 64


@postgres_only
async def test_a_server_that_is_away_is_named_until_it_is_back(
    postgres_server: PostgresServer, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "RETRY_S", 0.1)
    name = urlsplit(database_url).path.lstrip("/")
    await run_sql(postgres_server.url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await run_sql(postgres_server.url, KILL)
    with pytest.raises(StoreUnavailable):
        await store.accept.accept(make_spec())
    with pytest.raises(StoreUnavailable):
        await store.history.position()
    with pytest.raises(DatabaseUnreachable):
        await Store.open(database_url)
    await run_sql(postgres_server.url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert not (await store.accept.accept(make_spec())).duplicate


@sqlite_only
async def test_a_writer_that_keeps_the_file_is_named_until_it_leaves(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "RETRY_S", 0.1)
    monkeypatch.setattr(turn, "WAIT_S", 0.1)
    assert not (await store.accept.accept(make_spec())).duplicate
    path = sqlite_path(database_url)
    assert path
    with closing(path.with_name(f"{path.name}-write.lock").open("r+")) as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.accept.accept(make_spec())
        assert (await store.search.count(JobWhere())).value == 1  # readers do not wait
    assert not (await store.accept.accept(make_spec())).duplicate


@sqlite_only
async def test_a_cancelled_writer_gives_its_turn_back(store: Store, database_url: str) -> None:
    path = sqlite_path(database_url)
    assert path
    await store.accept.accept(make_spec())
    with closing(path.with_name(f"{path.name}-write.lock").open("r+")) as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        waiting = asyncio.create_task(store.epoch.raise_to(0, "r"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await store.epoch.raise_to(0, "r") == 1
    assert await store.epoch.current() == (1, "r")


@sqlite_only
async def test_a_full_disk_refuses_jobs_and_keeps_those_it_has(database_url: str) -> None:
    command = [sys.executable, "-W", "error", str(FULL_DISK), database_url, "2000000"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    sentence, kept = output.decode().splitlines()
    assert "disk" in sentence
    assert kept == "True True"
    assert process.returncode == 0


@sqlite_only
async def test_a_file_that_is_no_database_is_refused(dialect: str, tmp_path: Path) -> None:
    (tmp_path / "q.db").write_text("no database at all, and long enough to have a header" * 10)
    with pytest.raises(DatabaseUnreachable, match="not a SQLite database"):
        await Store.open(f"sqlite://{tmp_path}/q.db")
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnreachable):
        await Store.open(f"sqlite://{tmp_path}/file/q.db")


async def test_a_server_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(DatabaseUnreachable, match="QUEUEQL_DATABASE_URL"):
        await Store.open("postgres://a:b@127.0.0.1:1/c")


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "sqlite://:memory:", "queueql.db"])
async def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingInvalid, match="QUEUEQL_DATABASE_URL"):
        await Store.open(url)


def test_urls(tmp_path: Path) -> None:
    assert sqlite_path("sqlite:///a/b.db") == sqlite_path("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite_path("sqlite://a/b.db") == Path("a/b.db")
    assert sqlite_path("postgresql://a/b") is None
    assert configured_url(make_settings(data=tmp_path)) == f"sqlite://{tmp_path}/queueql.db"
    assert configured_url(make_settings(database_url="postgres://a/b")) == "postgres://a/b"


def test_scripts_are_split_where_statements_end() -> None:
    script = "CREATE TABLE a (b TEXT DEFAULT ';') /* one; two */;\n-- three;\nSELECT ';'; SELECT 1"
    assert [statement.splitlines()[-1] for statement in statements(script)] == [
        "CREATE TABLE a (b TEXT DEFAULT ';') /* one; two */;",
        "SELECT ';';",
        "SELECT 1",
    ]
