"""PostgreSQL's own programs make and restore its copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from jobs import backup
from jobs.errors import BackupFailed, BackupInvalid
from jobs.store import Store
from jobs.store import copy_postgres as postgres
from tests.databases import run_sql
from tests.jobs.backup.vault import accept, ids_of
from tests.postgres_server import PostgresServer


@pytest.fixture
def dialect() -> str:
    return "postgres"


async def test_programs_that_are_missing_are_named(
    database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackupFailed, match="There is no pg_dump on the PATH: install"):
        await backup.make(database_url, file)


async def test_programs_of_another_version_are_named(
    database_url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackupFailed, match="pg_dump on the PATH is of PostgreSQL 9 and the server of"):
        await backup.make(database_url, file)


async def test_the_password_is_in_no_list_of_processes(
    database_url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pg_dump").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n[ "$1" = --version ] && echo "pg_dump 99" || exit 1\n'
    )
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackupFailed, match="pg_dump has failed with exit code 1"):
        await backup.make(database_url, file)
    said = (tmp_path / "said").read_text()
    assert "--dbname=postgres://queueql@127.0.0.1" in said
    assert ":test@" not in said


@pytest.mark.parametrize("code", [0, 1])
async def test_a_restore_that_ends_early_has_done_nothing(
    store: Store, database_url: str, file: Path, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """pg_restore writes a part and fails, or says even that it has done everything."""
    await accept(store, 100)
    await backup.make(database_url, file)
    await accept(store, 1)
    await store.close()
    real = shutil.which("pg_restore")
    (tmp_path / "pg_restore").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\n{real} "$@" | head -n 150\nexit {code}\n'
    )
    (tmp_path / "pg_restore").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackupInvalid, match="pg_restore has failed" if code else "psql has failed"):
        await backup.restore(database_url, file)
    assert len(await ids_of(database_url)) == 101


@pytest.mark.parametrize(
    ("said", "invalid"),
    [
        ("FATAL:  57P01: terminating connection due to administrator command' >&2; exit 2 #", False),
        ("ERROR:  53100: could not extend file: No space left on device' >&2; exit 3 #", False),
        ('ERROR:  42704: type "mood" does not exist\' >&2; exit 3 #', True),
    ],
)
async def test_a_backup_is_not_to_blame_for_the_server(
    database_url: str,
    file: Path,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    invalid: bool,
) -> None:
    await backup.make(database_url, file)
    (tmp_path / "psql").write_text(f"#!/bin/sh\nhead -n 9 >/dev/null; echo 'psql:<stdin>:9: {said}\n")
    (tmp_path / "psql").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(BackupInvalid if invalid else BackupFailed, match="psql has failed with exit code"):
        await backup.verify(database_url, file)


async def test_a_user_that_may_make_no_database_is_told(
    database_url: str, file: Path, postgres_server: PostgresServer
) -> None:
    await backup.make(database_url, file)
    await run_sql(database_url, "DROP ROLE IF EXISTS plain")
    await run_sql(database_url, "CREATE ROLE plain LOGIN PASSWORD 'test'")
    with pytest.raises(BackupFailed, match="grant CREATEDB"):
        await backup.verify(database_url.replace("queueql:", "plain:"), file)


async def test_verifying_leaves_no_database_behind(store: Store, database_url: str, file: Path) -> None:
    await backup.make(database_url, file)
    old = f"{postgres.SCRATCH}1000_left"
    await run_sql(database_url, f"CREATE DATABASE {old}")
    await backup.verify(database_url, file)
    rows = await run_sql(database_url, "SELECT datname FROM pg_database")
    assert [row[0] for row in rows if row[0].startswith(postgres.SCRATCH)] == []


async def test_tables_of_others_are_left_alone(store: Store, database_url: str, file: Path) -> None:
    await run_sql(database_url, "CREATE TABLE mine (id int)")
    made = await backup.make(database_url, file)
    assert "mine" not in made.counts
    await run_sql(database_url, "INSERT INTO mine VALUES (1)")
    await store.close()
    await backup.restore(database_url, file)
    assert len(await run_sql(database_url, "SELECT * FROM mine")) == 1
