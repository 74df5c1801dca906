"""The archivist makes backups on time, shows that they can be restored, and keeps so many."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs import archive, backup
from jobs.errors import BackupFailed, StoreUnavailable
from jobs.services.archivist import PREFIX, Archivist
from jobs.snapshot import BackupFigures
from jobs.store import Store
from tests.databases import run_sql
from tests.factories import make_spec
from tests.wait import until

DAY_MS = 86_400_000


class Clock:
    now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(database_url: str, clock: Clock) -> AsyncIterator[Store]:
    store = await Store.open(database_url, clock=clock)
    yield store
    await store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


Open = Callable[[Store], Archivist]


@pytest.fixture
def open_archivist(database_url: str, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(backup, "now_ms", clock)
    return lambda store: Archivist(store, database_url, folder, every_s=86_400, keep=2, clock=clock)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


async def test_it_makes_one_a_day_and_keeps_two(store: Store, open_archivist: Open, folder: Path, clock: Clock) -> None:
    archivist = open_archivist(store)
    await store.accept.accept(make_spec())
    for day in range(3):
        await archivist.lead()
        await archivist.lead()  # it is not time
        newest = (await store.backups.newest())[0]
        assert (newest.created_ms, newest.verified_ms, newest.fault) == (clock.now_ms, clock.now_ms, None)
        assert newest.counts["job"] == 1
        assert len(files(folder)) == min(day + 1, 2)
        clock.now_ms += DAY_MS
    kept = await store.backups.newest()
    assert [Path(one.path).name for one in kept] == files(folder)[::-1]
    # Another process knows when the last one was made.
    clock.now_ms -= DAY_MS // 2
    other = open_archivist(store)
    assert 0 < await other.lead() <= 60
    assert len(await store.backups.newest()) == 2


async def test_one_that_cannot_be_restored_is_told_and_removes_none(
    store: Store, open_archivist: Open, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    archivist = open_archivist(store)
    for _ in range(2):
        await archivist.lead()
        clock.now_ms += DAY_MS
    good, pack = files(folder), archive.pack

    def tear(data: Path, manifest: archive.Manifest, target: Path, stop: threading.Event) -> int:
        """A disk that loses a part of what was written."""
        size = pack(data, manifest, target, stop)
        content = bytearray(target.read_bytes())
        content[size // 2] ^= 0xFF
        target.write_bytes(content)
        return size

    monkeypatch.setattr(archive, "pack", tear)
    await archivist.lead()
    newest = (await store.backups.newest())[0]
    assert newest.verified_ms is None
    assert newest.fault
    assert "damaged" in newest.fault
    assert set(good) < set(files(folder))
    made = len(files(folder))
    await archivist.lead()  # not again at once
    assert len(files(folder)) == made
    archivist.start()
    assert "The last backup failed;" in archivist.health().detail
    await archivist.stop()
    monkeypatch.setattr(archive, "pack", pack)
    clock.now_ms += DAY_MS
    await open_archivist(store).lead()
    assert (await store.backups.newest())[0].fault is None
    assert files(folder) == [good[1], files(folder)[-1]]  # the damaged one does not count, and is gone


async def test_it_tells_of_backups_that_never_succeed(store: Store, database_url: str) -> None:
    archivist = Archivist(store, database_url, Path("/proc/nope"), every_s=86_400, keep=2)
    assert archivist.figures() == BackupFigures(every_s=86_400, failing=False)
    archivist.start()
    await until(lambda: archivist.figures().failing)
    assert archivist.health().ok
    assert "The last backup failed;" in archivist.health().detail
    await archivist.stop()


async def test_whoever_leads_no_more_stops(
    store: Store, open_archivist: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archivist, begun, ended = open_archivist(store), asyncio.Event(), asyncio.Event()

    async def long(_url: str, _target: Path, **_: object) -> backup.Backup:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise BackupFailed("Nobody comes here.")

    async def holds() -> bool:
        return not begun.is_set()

    monkeypatch.setattr(backup, "make", long)
    monkeypatch.setattr(archivist.leadership, "holds", holds)
    monkeypatch.setattr(archivist.leadership, "_lease_ms", 30)
    archivist.start()
    await until(ended.is_set)
    await archivist.stop()
    assert await store.backups.newest() == []


async def test_a_stop_does_not_wait_for_a_backup(
    store: Store, open_archivist: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archivist, begun = open_archivist(store), asyncio.Event()
    copy_module = backup.sqlite if store.dialect == "sqlite" else backup.postgres

    async def long(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(copy_module, "take", long)
    archivist.start()
    await begun.wait()
    started = asyncio.get_running_loop().time()
    await archivist.stop()
    assert asyncio.get_running_loop().time() - started < 3
    assert files(folder) == []


async def test_a_stop_in_the_verification_leaves_nothing_behind_and_it_is_verified_at_the_next_start(
    store: Store, database_url: str, open_archivist: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archivist, begun = open_archivist(store), asyncio.Event()
    copy_module, name = (backup.sqlite, "check") if store.dialect == "sqlite" else (backup.postgres, "put")
    work = getattr(copy_module, name)

    async def long(*_: object, **__: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)  # a program is killed, the database answers slowly

    monkeypatch.setattr(copy_module, name, long)
    archivist.start()
    await asyncio.wait_for(begun.wait(), 30)
    await archivist.stop()
    assert len(files(folder)) == 1
    if store.dialect == "postgres":
        rows = await run_sql(database_url, "SELECT datname FROM pg_database")
        assert [row[0] for row in rows if row[0].startswith(backup.postgres.SCRATCH)] == []
    monkeypatch.setattr(copy_module, name, work)
    await open_archivist(store).lead()
    [made] = await store.backups.newest()
    assert (made.verified_ms is not None, made.fault) == (True, None)


class TestSteps:
    """What it does about one; the database does not matter."""

    @pytest.fixture
    def dialect(self) -> str:
        return "sqlite"

    async def test_it_removes_no_backup_of_others(
        self, store: Store, open_archivist: Open, folder: Path, clock: Clock
    ) -> None:
        folder.mkdir()  # noqa: ASYNC240  # nothing else runs meanwhile
        for name in ("queueql-20200101T000000Z.backup", f"{PREFIX}notes.txt"):
            (folder / name).write_text("mine")
        archivist = open_archivist(store)
        for _ in range(3):
            await archivist.lead()
            clock.now_ms += DAY_MS
        assert len(files(folder)) == 4

    async def test_one_that_could_not_be_verified_is_verified_again(
        self, store: Store, open_archivist: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archivist, verify = open_archivist(store), backup.verify

        async def refuse(*_: object, **__: object) -> archive.Manifest:
            raise BackupFailed("The server has no room.")

        monkeypatch.setattr(backup, "verify", refuse)
        for pause_s in (600, 1_200):
            await archivist.lead()
            assert pause_s - 60 < archivist._again_at - time.monotonic() <= pause_s  # each time twice as long
            await archivist.lead()
            archivist._again_at = 0
        assert (await store.backups.newest())[0].fault == "It could not be verified. The server has no room."
        monkeypatch.setattr(backup, "verify", verify)
        await archivist.lead()
        [made] = await store.backups.newest()
        assert (made.verified_ms is not None, made.fault) == (True, None)
        assert len(files(folder)) == 1

    async def test_a_clock_that_was_ahead_puts_off_no_backup_and_removes_none(
        self, store: Store, open_archivist: Open, folder: Path, clock: Clock
    ) -> None:
        archivist = open_archivist(store)
        clock.now_ms += 400 * DAY_MS
        for _ in range(2):
            await archivist.lead()
            clock.now_ms += DAY_MS
        clock.now_ms -= 402 * DAY_MS
        future = files(folder)
        for day in range(2):
            await archivist.lead()
            await archivist.lead()  # it is not time
            assert len(files(folder)) == 2
            assert len(set(files(folder)) & set(future)) == 1 - day  # those of the future are the oldest
            clock.now_ms += DAY_MS

    async def test_a_database_that_does_not_answer_ends_no_backup_before_the_lease(
        self, store: Store, open_archivist: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archivist, begun, asked = open_archivist(store), 0, 0

        async def long(*_: object, **__: object) -> backup.Backup:
            nonlocal begun
            begun += 1
            await asyncio.Event().wait()
            raise BackupFailed("Nobody comes here.")

        async def holds() -> bool:
            nonlocal asked
            asked += 1
            raise StoreUnavailable("It is busy.")

        monkeypatch.setattr(backup, "make", long)
        monkeypatch.setattr(archivist.leadership, "holds", holds)
        monkeypatch.setattr(archivist.leadership, "_lease_ms", 600)
        started = time.monotonic()
        await archivist.lead()
        assert time.monotonic() - started >= 0.4
        assert asked > 1
        await archivist.lead()  # not again at once
        assert begun == 1

    async def test_it_keeps_room_for_jobs(self, store: Store, database_url: str, folder: Path, clock: Clock) -> None:
        archivist = Archivist(store, database_url, folder, every_s=86_400, keep=2, keep_free_bytes=1 << 60, clock=clock)
        with capture_logs() as said:
            await archivist.lead()
        assert "too little room" in said[0]["error"]
        assert files(folder) == []
