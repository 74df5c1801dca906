"""Backups of real databases: whole or not there, made while others write, and never half restored."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from jobs import archive, backup
from jobs.archive import Manifest
from jobs.errors import BackupFailed, BackupInvalid, DatabaseInUse, SchemaAhead
from jobs.store import Accepted, Migrator, Store
from jobs.store import copy_postgres as postgres
from jobs.store.backup import Backup
from jobs.store.config import sqlite_path
from tests.databases import run_sql
from tests.factories import make_spec
from tests.postgres_server import PostgresServer


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "a.backup"


async def accept(store: Store, count: int) -> list[str]:
    accepted = await store.accept.accept_many([make_spec(tags=("a", "b")) for _ in range(count)])
    return [one.job_id for one in accepted if isinstance(one, Accepted)]


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url)
    try:
        yield store
    finally:
        await store.close()


async def ids_of(url: str) -> set[str]:
    async with opened(url) as store:
        return {row["id"] for row in await store._database.fetch("SELECT id FROM job")}


def rewrite(file: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Change what a backup says of itself."""
    manifest = change(archive.read(file))
    with zipfile.ZipFile(file) as packed:
        data = packed.read("data")
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("manifest.json", msgspec.json.encode(manifest))
        packed.writestr("data", data)


def damage(file: Path, part: str) -> None:
    content = bytearray(file.read_bytes())
    at = {"begin": 400, "middle": len(content) // 2, "end": len(content) - 10}.get(part, 0)
    if at:
        content[at : at + 8] = bytes(byte ^ 0xFF for byte in content[at : at + 8])
    file.write_bytes({"cut": content[:-200], "empty": b"", "text": b"no backup"}.get(part, bytes(content)))


async def test_what_is_backed_up_comes_back(store: Store, database_url: str, file: Path) -> None:
    before = await accept(store, 300)
    made = await backup.make(database_url, file)
    assert made.counts["job"] == 300
    assert made.counts["job_tag"] == 600
    assert file.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240  # nothing else runs meanwhile
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    await accept(store, 20)
    await store.close()
    done = await backup.restore(database_url, file)
    assert await ids_of(database_url) == set(before)
    assert done.migrations == []
    if done.kept:
        assert len(await ids_of(f"sqlite://{done.kept}")) == 320


async def test_it_is_of_one_moment_while_others_write(store: Store, database_url: str, file: Path) -> None:
    await accept(store, 2_000)
    accepted: list[str] = []
    stop = asyncio.Event()

    async def go_on() -> None:
        while not stop.is_set():
            accepted.extend(await accept(store, 20))

    writing = [asyncio.create_task(go_on()) for _ in range(3)]
    try:
        known = set(accepted)
        made = await backup.make(database_url, file)
    finally:
        stop.set()
        await asyncio.gather(*writing)
    assert made.counts["job"] < 2_000 + len(accepted)
    assert made.counts["job_tag"] == 2 * made.counts["job"]  # a job and its tags are one transaction
    manifest = await backup.verify(database_url, file)
    assert manifest.counts == made.counts
    await store.close()
    await backup.restore(database_url, file)
    assert known <= await ids_of(database_url)


async def test_a_backup_replaces_no_file(database_url: str, file: Path) -> None:
    await backup.make(database_url, file)
    content = file.read_bytes()  # noqa: ASYNC240  # nothing else runs meanwhile
    with pytest.raises(BackupFailed, match="exists already"):
        await backup.make(database_url, file)
    assert file.read_bytes() == content  # noqa: ASYNC240  # nothing else runs meanwhile


async def test_of_several_that_are_made_at_once_one_has_the_name(store: Store, database_url: str, file: Path) -> None:
    await accept(store, 1_000)
    made = await asyncio.gather(*(backup.make(database_url, file) for _ in range(3)), return_exceptions=True)
    (one,) = [answer for answer in made if isinstance(answer, Backup)]
    assert sum(isinstance(answer, BackupFailed) for answer in made) == 2
    assert archive.read(file).id == one.id
    assert list(file.parent.iterdir()) == [file]


async def test_in_a_folder_it_is_named_after_the_time(database_url: str, tmp_path: Path) -> None:
    made = await backup.make(database_url, tmp_path)
    assert Path(made.path).name == backup.default_name(made.created_ms)


@pytest.mark.parametrize("part", ["begin", "middle", "end", "cut", "empty", "text"])
async def test_a_damaged_backup_changes_nothing(store: Store, database_url: str, file: Path, part: str) -> None:
    before = await accept(store, 200)
    await backup.make(database_url, file)
    damage(file, part)
    await store.close()
    for work in (backup.verify, backup.restore):
        with pytest.raises(BackupInvalid, match=r"no backup|damaged|cannot be"):
            await work(database_url, file)
    assert await ids_of(database_url) == set(before)


async def test_a_wrong_manifest_changes_nothing(store: Store, database_url: str, file: Path) -> None:
    before = await accept(store, 50)
    await backup.make(database_url, file)
    rewrite(file, lambda one: msgspec.structs.replace(one, counts={**one.counts, "job": 51}))
    await accept(store, 1)
    await store.close()
    with pytest.raises(BackupInvalid, match="51"):
        await backup.verify(database_url, file)
    with pytest.raises((BackupInvalid, BackupFailed), match="51"):
        await backup.restore(database_url, file)
    assert len(await ids_of(database_url)) == len(before) + 1


async def test_another_copy_than_that_of_the_manifest_changes_nothing(database_url: str, file: Path) -> None:
    await backup.make(database_url, file)
    rewrite(file, lambda one: msgspec.structs.replace(one, sha256="0" * 64))
    for work in (backup.verify, backup.restore):
        with pytest.raises(BackupInvalid, match="its checksum is not that of its manifest"):
            await work(database_url, file)


async def test_a_newer_schema_is_refused(store: Store, database_url: str, file: Path) -> None:
    await backup.make(database_url, file)
    rewrite(file, lambda one: msgspec.structs.replace(one, migration="999_20990101000000_later.py", queueql="9.9"))
    await store.close()
    with pytest.raises(BackupInvalid, match=r"newer QueueQL \(9\.9, 999_"):
        await backup.restore(database_url, file)


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


async def test_a_backup_that_is_killed_leaves_nothing(store: Store, database_url: str, file: Path) -> None:
    await accept(store, 5_000)
    file.parent.mkdir()
    for number, after_s in enumerate((0.1, 0.001)):
        target = file.with_name(f"{number}.backup")
        left = kill(f"make({database_url!r}, Path({str(target)!r}))", file.parent, after_s)
        assert target.exists() or left
        if target.exists():
            assert (await backup.verify(database_url, target)).counts["job"] == 5_000
    assert list(file.parent.glob(".queueql-backup-*"))  # of the one that was killed last
    await backup.make(database_url, file)
    assert {path.suffix for path in file.parent.iterdir()} == {".backup"}


def kill(work: str, folder: Path, after_s: float) -> bool:
    """Run a step of backup.py in a process and kill it at its work; False where it was done before.

    What it works with is in a hidden folder in `folder`.
    """
    code = f"import asyncio; from pathlib import Path; from jobs.backup import *; asyncio.run({work})"
    old = set(folder.glob(".queueql-backup-*"))
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and set(folder.glob(".queueql-backup-*")) <= old:
            time.sleep(0.001)
        return process.wait(after_s) != 0
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True


async def test_it_is_of_one_kind_of_database(
    database_url: str, tmp_path: Path, postgres_template: str, postgres_server: PostgresServer, file: Path
) -> None:
    await backup.make(database_url, file)
    is_sqlite = sqlite_path(database_url) is not None
    other = (
        f"{postgres_server.url.rpartition('/')[0]}/{postgres_template}" if is_sqlite else f"sqlite://{tmp_path}/o.db"
    )
    expected = "of SQLite, and .* PostgreSQL" if is_sqlite else "of PostgreSQL, and .* SQLite"
    with pytest.raises(BackupInvalid, match=expected):
        await backup.restore(other, file)


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


class TestPostgres:
    @pytest.fixture
    def dialect(self) -> str:
        return "postgres"

    async def test_programs_that_are_missing_are_named(
        self, database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(BackupFailed, match="There is no pg_dump on the PATH: install"):
            await backup.make(database_url, file)

    async def test_programs_of_another_version_are_named(
        self, database_url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
        (tmp_path / "pg_dump").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(BackupFailed, match="pg_dump on the PATH is of PostgreSQL 9 and the server of"):
            await backup.make(database_url, file)

    async def test_the_password_is_in_no_list_of_processes(
        self, database_url: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        self, store: Store, database_url: str, file: Path, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
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
        self,
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
        self, database_url: str, file: Path, postgres_server: PostgresServer
    ) -> None:
        await backup.make(database_url, file)
        await run_sql(database_url, "DROP ROLE IF EXISTS plain")
        await run_sql(database_url, "CREATE ROLE plain LOGIN PASSWORD 'test'")
        with pytest.raises(BackupFailed, match="grant CREATEDB"):
            await backup.verify(database_url.replace("queueql:", "plain:"), file)

    async def test_verifying_leaves_no_database_behind(self, store: Store, database_url: str, file: Path) -> None:
        await backup.make(database_url, file)
        old = f"{postgres.SCRATCH}1000_left"
        await run_sql(database_url, f"CREATE DATABASE {old}")
        await backup.verify(database_url, file)
        rows = await run_sql(database_url, "SELECT datname FROM pg_database")
        assert [row[0] for row in rows if row[0].startswith(postgres.SCRATCH)] == []

    async def test_tables_of_others_are_left_alone(self, store: Store, database_url: str, file: Path) -> None:
        await run_sql(database_url, "CREATE TABLE mine (id int)")
        made = await backup.make(database_url, file)
        assert "mine" not in made.counts
        await run_sql(database_url, "INSERT INTO mine VALUES (1)")
        await store.close()
        await backup.restore(database_url, file)
        assert len(await run_sql(database_url, "SELECT * FROM mine")) == 1


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
