"""Backups of real databases: whole or not there, made while others write; what is not whole changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from jobs import archive, backup
from jobs.errors import BackupFailed, BackupInvalid
from jobs.store import Store
from jobs.store.backup import Backup
from jobs.store.config import sqlite_path
from tests.jobs.backup.vault import accept, damage, ids_of, kill, rewrite
from tests.postgres_server import PostgresServer


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
