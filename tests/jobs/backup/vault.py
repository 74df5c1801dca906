"""What is put into a database and found there, and what is done to backups."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from jobs import archive
from jobs.archive import Manifest
from jobs.store import Accepted, Store
from tests.factories import make_spec


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
