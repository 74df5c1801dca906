"""Restoring: all or nothing, into a database that nobody uses."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from jobs import backup
from jobs.errors import DatabaseInUse, SchemaAhead
from jobs.store import Migrator, Store
from jobs.store.config import sqlite_path
from tests.jobs.backup.vault import accept, ids_of, kill, opened


async def test_an_older_schema_is_migrated(empty_url: str, file: Path, tmp_path: Path) -> None:
    versions, older = Migrator().versions(), tmp_path / "older"
    older.mkdir()
    missing = [name for name in versions if int(name.partition("_")[0]) >= 5]  # the first of them made slow_query
    for name in versions[: -len(missing)]:
        (older / name).write_text((Migrator()._folder / name).read_text())
    await Migrator(older).migrate(empty_url)
    await backup.make(empty_url, file)
    await Migrator().migrate(empty_url)
    async with opened(empty_url) as store:
        store.slow.notice("SELECT 'newer than the backup'", 5_000.0)
        await store.slow.flush()
    done = await backup.restore(empty_url, file)
    assert done.migrations == missing
    async with opened(empty_url) as store:
        assert "SELECT 'newer than the backup'" not in [one.sql for one in await store.slow.worst()]


async def test_a_database_that_is_gone_is_made_anew(
    store: Store, database_url: str, empty_url: str, file: Path
) -> None:
    before = await accept(store, 30)
    await backup.make(database_url, file)
    await backup.restore(empty_url, file)
    assert await ids_of(empty_url) == set(before)


async def test_nothing_may_run_on_it(store: Store, database_url: str, file: Path) -> None:
    await accept(store, 3)
    await backup.make(database_url, file)
    await accept(store, 1)
    with pytest.raises(DatabaseInUse):
        await backup.restore(database_url, file)
    assert len(await ids_of(database_url)) == 4
    if store.dialect == "postgres":
        await backup.restore(database_url, file, force=True)
    else:
        with pytest.raises(DatabaseInUse):
            await backup.restore(database_url, file, force=True)


async def test_a_restore_that_is_killed_has_done_all_or_nothing(store: Store, database_url: str, file: Path) -> None:
    await accept(store, 5_000)
    await backup.make(database_url, file)
    await accept(store, 7)
    await store.epoch.raise_to(0, "a run")
    await store.close()
    path = sqlite_path(database_url)
    for after_s in (0.001, 0.1):
        left = kill(f"restore({database_url!r}, Path({str(file)!r}))", path.parent if path else file.parent, after_s)
        restored = len(await ids_of(database_url)) == 5_000
        assert restored or left
        store = await Store.open(database_url)
        assert len(await store._database.fetch("SELECT id FROM job")) == (5_000 if restored else 5_007)
        assert (await store.epoch.current()) == (1, "" if restored else "a run")
        await store.close()
        if restored:
            break
    await backup.restore(database_url, file)
    assert len(await ids_of(database_url)) == 5_000


async def test_sqlite_keeps_a_damaged_database_beside_the_restored_one(
    sqlite_template: Path, tmp_path: Path, file: Path
) -> None:
    path = tmp_path / "q.db"
    path.write_bytes(sqlite_template.read_bytes())  # noqa: ASYNC240  # nothing else runs meanwhile
    await backup.make(f"sqlite://{path}", file)
    path.write_bytes(b"damaged" * 5_000)
    done = await backup.restore(f"sqlite://{path}", file)
    assert done.kept
    assert done.kept.read_bytes() == b"damaged" * 5_000
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_database_of_a_newer_queueql_can_be_replaced(store: Store, database_url: str, file: Path) -> None:
    before = await accept(store, 3)
    await backup.make(database_url, file)
    async with store._database.transaction() as transaction:
        await transaction.execute("INSERT INTO aerich (version, app, content) VALUES ('999_x.py', 'models', '{}')")
    await store.close()
    with pytest.raises(SchemaAhead):
        await Store.open(database_url)
    await backup.restore(database_url, file)
    assert await ids_of(database_url) == set(before)


async def test_nobody_starts_on_a_sqlite_file_that_is_being_replaced(
    sqlite_template: Path, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, put = tmp_path / "q.db", backup.sqlite.put
    shutil.copy(sqlite_template, path)
    await backup.make(f"sqlite://{path}", file)

    def start_meanwhile(copy: Path, target: Path) -> Path | None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            starting.execute("PRAGMA journal_mode=WAL")
        return put(copy, target)

    monkeypatch.setattr(backup.sqlite, "put", start_meanwhile)
    starting = sqlite3.connect(path, timeout=0, check_same_thread=False)
    with contextlib.closing(starting):
        done = await backup.restore(f"sqlite://{path}", file)
        with pytest.raises(sqlite3.OperationalError) as moved:
            starting.execute("PRAGMA journal_mode=WAL")
    assert moved.value.sqlite_errorname == "SQLITE_READONLY_DBMOVED"
    assert done.kept
    assert {one.name for one in tmp_path.glob("q.db*")} == {path.name, done.kept.name}  # noqa: ASYNC240  # nothing else runs
