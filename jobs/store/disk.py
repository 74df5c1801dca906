"""The room that SQLite, and an embedded Redis beside it, have left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from jobs.errors import DiskFull

LOOK_EVERY_S = 1.0


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class Disk:
    """Refuses new work before the disk is full, so that what was accepted can still run, end and be recorded.

    Without a folder there is nothing to watch: a server watches its disk itself.
    """

    def __init__(
        self,
        folder: Path | None = None,
        min_bytes: int = 0,
        *,
        free: Callable[[Path], int] = _free,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._min_bytes = min_bytes
        self._free = free
        self._monotonic = monotonic
        self._looked_at = -LOOK_EVERY_S
        self._left = min_bytes

    def check(self) -> None:
        """Raise DiskFull where too little is left. Looks once a second at most."""
        if self._folder is None or not self._min_bytes:
            return
        now = self._monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at, self._left = now, self._free(self._folder)
        if self._left < self._min_bytes:
            raise DiskFull(
                f"The disk is nearly full, {_mib(self._left)} are free and new jobs are taken from"
                f" {_mib(self._min_bytes)} on; those that were accepted go on."
            )


def _mib(number: int) -> str:
    return f"{number / 1_048_576:,.1f} MiB"
