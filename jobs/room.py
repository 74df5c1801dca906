"""Room on a disk: what a large piece of work may take of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from jobs.ending import end
from jobs.errors import BackupFailed

T = TypeVar("T")

LOOK_S = 0.1
CLEANUP_S = 5.0
"""What work that is given up may take to remove what it has made."""


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Room:
    """The disk of a folder, of which so many bytes stay free for others."""

    def __init__(self, folder: Path, keep_free_bytes: int = 0) -> None:
        self._folder = folder
        self._keep_free_bytes = keep_free_bytes

    def check(self, need_bytes: int = 0) -> None:
        """Raise BackupFailed where there is no room for so many bytes."""
        free = _free(self._folder)
        if free - need_bytes < self._keep_free_bytes:
            raise BackupFailed(
                f"The disk of {self._folder.parent} has too little room: {_mib(free)} are free,"
                f" {_mib(need_bytes)} are needed, and {_mib(self._keep_free_bytes)} stay free for jobs."
            )

    async def watch(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work, and give it up with BackupFailed once what is to stay free is used."""
        working = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([working], timeout=LOOK_S))[0]:
                self.check()
            return await working
        finally:
            await end(working, again_s=CLEANUP_S)


def _mib(number: int) -> str:
    return f"{number / 1_048_576:,.1f} MiB"
