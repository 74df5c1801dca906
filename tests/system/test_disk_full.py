"""The disk runs full under `queueql up`: new work is refused first, and all recovers once there is room."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.system.fleet import TASKS, enqueue, until_state
from tests.system.product import TOKEN, Api, Process, Refused
from tests.wait import until

MIB = 1_048_576
DISK_MIB = 48
MIN_MIB = 16


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A small file system of its own; where this process may not mount one, there is no such test."""
    path = folder / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("Only root can mount a small file system.")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)  # noqa: S607  # as above


def fill(disk: Path, leave_mib: float) -> Path:
    """Take room away until so much is left."""
    ballast = disk / "ballast"
    stat = os.statvfs(disk)
    had = ballast.stat().st_size if ballast.exists() else 0
    size = had + stat.f_bavail * stat.f_frsize - int(leave_mib * MIB)
    with ballast.open("ab") as file:
        if size < had:
            file.truncate(size)
        else:
            os.posix_fallocate(file.fileno(), 0, size)
    return ballast


async def until_ready(session: aiohttp.ClientSession, url: str, status: int) -> str:
    async with asyncio.timeout(30):
        while True:
            async with session.get(f"{url}/readyz") as answer:
                if answer.status == status:
                    return await answer.text()
            await asyncio.sleep(0.1)


@pytest.mark.timeout(150)
async def test_new_work_is_refused_first_and_everything_recovers_without_a_restart(folder: Path, disk: Path) -> None:
    (folder / "fleet_tasks.py").write_text(TASKS)
    environ = {
        "QUEUEQL_ADMIN_TOKEN": TOKEN,
        "QUEUEQL_DISK_MIN_BYTES": str(MIN_MIB * MIB),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(folder)]),
    }
    process = Process(
        "up", ["queueql", "up", "--port", "0", "--data", str(disk / "data"), "--tasks", "fleet_tasks"], folder, environ
    )
    process.start()
    try:
        url = await asyncio.to_thread(process.find, r"runs at (http://\S+)")
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            api = Api(session, url)
            await nearly_full(folder, disk, session, api, url)
            await full(disk, session, api, url, process)
    finally:
        assert process.stop() == 0
    assert "process.ended" not in process.output(), process.output()


async def nearly_full(folder: Path, disk: Path, session: aiohttp.ClientSession, api: Api, url: str) -> None:
    """New jobs are refused; those that run end and are recorded."""
    running = await enqueue(api, "until_told", file=str(folder / "running"))
    await until((folder / "running").exists)
    fill(disk, MIN_MIB - 2)  # the log of SQLite takes eight before it is carried over
    await until_refused(api, folder)
    assert "The disk is nearly full" in await until_ready(session, url, 503)
    (folder / "running").unlink()
    await until_state(api, running, "COMPLETED", 10)
    (disk / "ballast").unlink()
    await until_ready(session, url, 200)
    await enqueue(api, "begin", file=str(folder / "after"))
    await until((folder / "after").exists)


async def until_refused(api: Api, folder: Path) -> None:
    """Wait for the refusal; the disk is looked at once a second."""
    async with asyncio.timeout(5):
        while True:
            try:
                await enqueue(api, "begin", file=str(folder / "other"))
            except Refused as refusal:
                assert refusal.code == "DISK_FULL"  # noqa: PT017  # one of several answers
                return


async def full(disk: Path, session: aiohttp.ClientSession, api: Api, url: str, process: Process) -> None:
    """Not a byte is left, for Redis neither; what was accepted is not lost."""
    folder = disk.parent
    running = await enqueue(api, "until_told", file=str(folder / "full"))
    await until((folder / "full").exists)
    fill(disk, 0)
    (folder / "full").unlink()
    await until_ready(session, url, 503)
    await asyncio.to_thread(process.find, r"(MISCONF .*No space left on device)")
    await until_refused(api, folder)
    (disk / "ballast").unlink()
    await until_state(api, running, "COMPLETED", 30)
    await until_ready(session, url, 200)
    await enqueue(api, "begin", file=str(folder / "again"))
    await until((folder / "again").exists)
