"""What is beside a backup while it is made: a folder that nobody else removes, room on the disk, and a stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from pathlib import Path
from typing import IO

import msgspec
import pytest

from jobs import archive, backup, room
from jobs.archive import Manifest, work_folder
from jobs.errors import BackupFailed
from jobs.room import Room
from jobs.store import copy_sqlite as sqlite

MANIFEST = Manifest(
    id="1", queueql="1", dialect="sqlite", migration="1", created_ms=1, counts={}, size_bytes=1 << 40, sha256=""
)


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "a.backup"


def test_a_folder_that_was_just_made_is_not_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process looks for what was left behind just before the folder is locked."""
    lock = fcntl.flock

    def late(opened: IO[str], how: int) -> None:
        if how == fcntl.LOCK_EX:
            monkeypatch.setattr(fcntl, "flock", lock)
            with work_folder(file):
                pass
        lock(opened, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with work_folder(file) as folder:
        (folder / "copy").touch()
    assert list(file.parent.iterdir()) == []


def test_what_was_left_behind_before_it_was_locked_is_removed_later(file: Path) -> None:
    left = file.parent / ".queueql-new-1"
    left.mkdir(parents=True)
    with work_folder(file):
        assert left.exists()
    os.utime(left, (0, 0))
    with work_folder(file):
        assert not left.exists()


def test_a_folder_that_cannot_be_locked_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BackupFailed, match="Nothing can be written in"), work_folder(file):
        pass


def test_packing_unpacking_and_the_checksum_can_be_stopped(file: Path) -> None:
    file.parent.mkdir()
    data, go_on, stop = file.with_name("data"), threading.Event(), threading.Event()
    data.write_bytes(b"0123456789")
    stop.set()
    with pytest.raises(BackupFailed, match="given up"):
        archive.checksum(data, stop)
    manifest = msgspec.structs.replace(MANIFEST, sha256=archive.checksum(data, go_on))
    with pytest.raises(BackupFailed, match="given up"):
        archive.pack(data, manifest, file, stop)
    data.with_name("packed").unlink()
    archive.pack(data, manifest, file, go_on)
    with pytest.raises(BackupFailed, match="given up"):
        archive.unpack(file, file.with_name("copy"), stop)


async def test_whoever_is_cancelled_stops_the_thread(
    database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left = threading.Event(), threading.Event()

    def pack(_data: Path, _manifest: Manifest, _target: Path, stop: threading.Event) -> int:
        begun.set()
        assert stop.wait(10)
        assert list(file.parent.glob(".queueql-backup-*"))  # it is there for as long as the thread works in it
        left.set()
        raise BackupFailed("It was given up.")

    monkeypatch.setattr(archive, "pack", pack)
    making = asyncio.create_task(backup.make(database_url, file))
    await asyncio.to_thread(begun.wait, 10)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert left.is_set()
    assert list(file.parent.iterdir()) == []  # nothing else runs meanwhile


async def test_a_backup_needs_room_for_the_copy_and_what_it_is_packed_into(
    database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Path(database_url.removeprefix("sqlite://"))
    needed = await sqlite.size(database) * 3 // 2
    free = [1_000_000 + needed - 1]
    monkeypatch.setattr(room, "_free", lambda _: free[0])
    with pytest.raises(BackupFailed, match=r"has too little room: .* MiB stay free for jobs"):
        await backup.make(database_url, file, keep_free_bytes=1_000_000)
    free[0] += 1
    made = await backup.make(database_url, file, keep_free_bytes=1_000_000)
    assert Path(made.path) == file
    free[0] = 1_000_000 + archive.read(file).size_bytes - 1
    for work in (backup.verify, backup.restore):
        with pytest.raises(BackupFailed, match="too little room"):
            await work(database_url, file, keep_free_bytes=1_000_000)
    free[0] += 1
    await backup.verify(database_url, file, keep_free_bytes=1_000_000)
    await backup.restore(database_url, file, keep_free_bytes=1_000_000)
    assert list(file.parent.iterdir()) == [file]  # nothing else runs meanwhile


async def test_work_is_given_up_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, ended = iter([11, 10, 9]), asyncio.Event()

    async def fill() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(room.LOOK_S)  # what it does at its end is not cut off
            ended.set()

    monkeypatch.setattr(room, "_free", lambda _: next(free))
    with pytest.raises(BackupFailed, match="too little room"):
        await Room(tmp_path, 10).watch(fill())
    assert ended.is_set()


async def test_a_restored_file_belongs_to_whom_the_replaced_one_did(database_url: str, file: Path) -> None:
    """Also where root restores it: the services run as somebody else."""
    database = Path(database_url.removeprefix("sqlite://"))
    owner, mode = (1234, 2345) if os.geteuid() == 0 else (os.getuid(), os.getgid()), 0o640
    await backup.make(database_url, file)
    os.chown(database, *owner)
    os.chmod(database, mode)  # noqa: PTH101  # nothing else runs meanwhile
    await backup.restore(database_url, file)
    now = os.stat(database)  # noqa: PTH116  # as above
    assert ((now.st_uid, now.st_gid), now.st_mode & 0o777) == (owner, mode)
    os.unlink(database)  # noqa: PTH108  # as above
    os.chown(database.parent, *owner)
    await backup.restore(database_url, file)
    now = os.stat(database)  # noqa: PTH116  # as above
    assert ((now.st_uid, now.st_gid), now.st_mode & 0o777) == (owner, 0o600)
