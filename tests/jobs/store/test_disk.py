"""New jobs are refused before the disk is full; what was accepted goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import DiskFull, StoreUnavailable
from jobs.event import Position
from jobs.store import Store
from jobs.store.disk import LOOK_EVERY_S, Disk
from jobs.store.faults import postgres_faults
from tests.databases import run_sql
from tests.factories import make_spec
from tests.jobs.store.story import Story

MIB = 1_048_576
NO_SPACE = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left' USING ERRCODE = '53100'; END $$"

postgres_only = pytest.mark.parametrize("dialect", ["postgres"])
sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


class Room:
    """A disk whose room a test sets, and a clock."""

    def __init__(self) -> None:
        self.free = 200 * MIB
        self.looks = 0
        self.now_s = 0.0

    def look(self, _folder: Path) -> int:
        self.looks += 1
        return self.free

    def clock(self) -> float:
        return self.now_s


def test_the_disk_is_looked_at_once_a_second(tmp_path: Path) -> None:
    room = Room()
    disk = Disk(tmp_path, 100 * MIB, free=room.look, monotonic=room.clock)
    for _ in range(1_000):
        disk.check()
    assert room.looks == 1
    room.free = 60 * MIB + MIB // 2
    disk.check()
    room.now_s += LOOK_EVERY_S
    with pytest.raises(DiskFull, match=r"60\.5 MiB are free and new jobs are taken from 100\.0 MiB on"):
        disk.check()
    with pytest.raises(DiskFull):
        disk.check()
    assert room.looks == 2
    room.free = 100 * MIB
    room.now_s += LOOK_EVERY_S
    disk.check()


def test_what_is_not_watched_is_never_full(tmp_path: Path) -> None:
    Disk().check()
    Disk(tmp_path, 0, free=lambda _: 0).check()
    Disk(None, MIB).check()


@sqlite_only
async def test_new_jobs_are_refused_and_accepted_ones_go_on(store: Store, story: Story, tmp_path: Path) -> None:
    spec = make_spec()
    await store.accept.accept(spec)
    room = Room()
    watched = Store(store._database, lambda: 0, Disk(tmp_path, 100 * MIB, free=room.look, monotonic=room.clock))
    assert (await watched.health()).ok
    room.free, room.now_s = MIB, 10
    with pytest.raises(DiskFull) as refusal:
        await watched.accept.accept(make_spec())
    assert refusal.value.code == "DISK_FULL"
    assert isinstance(refusal.value, StoreUnavailable)
    with pytest.raises(DiskFull):
        await watched.accept.accept_many([make_spec()])
    with pytest.raises(DiskFull):
        await watched.accept.rerun(spec.id)
    assert "nearly full" in (await watched.health()).detail
    await store.history.record([], old=await store.history.position(), new=Position(1, 1, 1, 1))
    room.free, room.now_s = 200 * MIB, 20
    assert not (await watched.accept.accept(make_spec())).duplicate
    assert (await watched.health()).ok


@sqlite_only
async def test_the_setting_is_for_the_folder_of_the_database(database_url: str) -> None:
    store = await Store.open(database_url, disk_min_bytes=10**18)
    with pytest.raises(DiskFull):
        await store.accept.accept(make_spec())
    await store.close()


@postgres_only
async def test_a_server_whose_disk_is_full_says_so_by_itself(database_url: str) -> None:
    with pytest.raises(DiskFull, match="No space left"), postgres_faults():
        await run_sql(database_url, NO_SPACE)
