"""Migrations: one history for both databases, applied once, whoever tries."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aerich.coder import decoder, encoder
from aerich.utils import decompress_dict, get_models_describe, import_py_file
from tortoise.context import TortoiseContext

from jobs.errors import SchemaAhead, SchemaBehind
from jobs.job import JobSpec
from jobs.store import SchemaState, Store
from jobs.store.config import APP, sqlite_path, tortoise_config
from jobs.store.migrate import FOLDER, Migrator
from jobs.store.rows import FOLDED, SPEC
from tests.databases import run_sql
from tests.factories import make_spec

ROOT = Path(__file__).parents[3]

SECOND = '''
async def upgrade(db):
    return """
        ALTER TABLE "queue" ADD COLUMN "paused" INT NOT NULL DEFAULT 0;
        {more}
        CREATE INDEX IF NOT EXISTS "idx_queue_paused" ON "queue" ("paused");
    """


MODELS_STATE = {state!r}
'''


def later(tmp_path: Path, more: str = "") -> Path:
    """A folder with all migrations and one from the future."""
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder)
    state = import_py_file(sorted(FOLDER.glob("0_*.py"))[0]).MODELS_STATE
    (folder / "1000_20990101000000_pause.py").write_text(SECOND.format(more=more, state=state))
    return folder


def backups(url: str) -> list[Path]:
    path = sqlite_path(url)
    assert path
    return sorted(path.parent.glob("*.backup"))


async def columns(url: str, table: str) -> dict[str, bool]:
    """Columns of a table and whether they must have a value."""
    path = sqlite_path(url)
    if path:
        with closing(sqlite3.connect(path)) as connection:
            return {row[1]: bool(row[3]) for row in connection.execute(f"PRAGMA table_info({table})")}
    rows = await run_sql(url, "SELECT table_name, column_name, is_nullable FROM information_schema.columns")
    return {row["column_name"]: row["is_nullable"] == "NO" for row in rows if row["table_name"] == table}


async def test_a_fresh_database_is_migrated_once(empty_url: str) -> None:
    migrator = Migrator()
    assert await migrator.state(empty_url) is SchemaState.BEHIND
    path = sqlite_path(empty_url)
    assert path is None or not path.exists()
    assert await migrator.migrate(empty_url) == migrator.versions()
    assert await migrator.state(empty_url) is SchemaState.CURRENT
    assert await migrator.migrate(empty_url) == []
    if path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert backups(empty_url) == []


async def test_six_at_once_apply_it_once(empty_url: str) -> None:
    applied = await asyncio.gather(*(Migrator().migrate(empty_url) for _ in range(6)))
    assert sorted(map(len, applied)) == [0] * 5 + [len(Migrator().versions())]
    store = await Store.open(empty_url)
    assert await store.epoch.current() == (0, "")
    await store.close()


async def test_an_old_schema_is_refused_until_it_is_migrated(empty_url: str) -> None:
    with pytest.raises(SchemaBehind, match="queueql migrate"):
        await Store.open(empty_url)
    await Migrator().migrate(empty_url)
    await (await Store.open(empty_url)).close()


async def test_a_newer_schema_is_refused(database_url: str, tmp_path: Path) -> None:
    future = Migrator(later(tmp_path))
    assert await future.state(database_url) is SchemaState.BEHIND
    assert await future.migrate(database_url) == ["1000_20990101000000_pause.py"]
    assert "paused" in await columns(database_url, "queue")
    assert await Migrator().state(database_url) is SchemaState.AHEAD
    with pytest.raises(SchemaAhead):
        await Store.open(database_url)
    with pytest.raises(SchemaAhead, match="1000_20990101000000_pause"):
        await Migrator().migrate(database_url)


async def accept_one(url: str) -> JobSpec:
    store = await Store.open(url)
    spec = make_spec()
    await store.accept.accept(spec)
    await store.close()
    return spec


async def test_sqlite_is_backed_up_before_it_changes(dialect: str, database_url: str, tmp_path: Path) -> None:
    spec = await accept_one(database_url)
    await Migrator(later(tmp_path)).migrate(database_url)
    if dialect == "postgres":
        return  # whoever runs a server has backups
    (backup,) = backups(database_url)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    store = await Store.open(f"sqlite://{backup}")
    assert await store.search.job(spec.id)
    await store.close()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    folder = later(tmp_path, more='ALTER TABLE "none" ADD COLUMN "x" INT;')
    with pytest.raises(Exception, match="none"):
        await Migrator(folder).migrate(database_url)
    assert "paused" not in await columns(database_url, "queue")
    assert await Migrator().state(database_url) is SchemaState.CURRENT
    await accept_one(database_url)


async def test_models_and_migrations_agree(database_url: str) -> None:
    context = TortoiseContext()
    async with context:
        await context.init(config=tortoise_config(database_url), init_connections=False)
        described = get_models_describe(APP)
    last = import_py_file(FOLDER / Migrator().versions()[-1])
    assert decompress_dict(last.MODELS_STATE) == decoder(encoder(described)), (
        "write a migration: see migrations/__init__.py"
    )
    for model in described.values():
        fields: list[dict[str, Any]] = [model["pk_field"], *model["data_fields"]]
        required = {field["db_column"]: not field["nullable"] for field in fields}
        assert await columns(database_url, model["table"]) == required
    assert {column.name for column in (*SPEC, *FOLDED)} | {"cancel_run"} == set(await columns(database_url, "job"))


async def run_aerich(url: str, *arguments: str) -> str:
    environ = {**os.environ, "QUEUEQL_DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aerich", *arguments,
        cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_aerich_goes_on_from_what_we_migrated(database_url: str) -> None:
    assert "No upgrade items found" in await run_aerich(database_url, "upgrade")
    assert "No available heads" in await run_aerich(database_url, "heads")
    assert "No changes detected" in await run_aerich(database_url, "migrate", "--name", "none", "--no-input")


async def test_we_go_on_from_what_aerich_migrated(empty_url: str) -> None:
    path = sqlite_path(empty_url)
    if path:
        path.parent.mkdir()
    assert "Success upgrading" in await run_aerich(empty_url, "upgrade")
    assert await Migrator().state(empty_url) is SchemaState.CURRENT
    assert await Migrator().migrate(empty_url) == []
    await accept_one(empty_url)
