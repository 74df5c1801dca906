"""A disk that can be full: a small file system in memory where that is allowed, else a limit on the size of files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

SIZE = "800m"
FILE_MAX = 65_536
"""Where no file system can be mounted: what is longer than that can be read and not extended."""


class Disk:
    """A folder, on a file system of its own where the kernel lets us mount one."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="qq-disk-"))
        self._ballast = self.folder / "ballast"
        self._limited: list[int] = []
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.folder)]
        self.is_mounted = os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
        self.folder.chmod(0o755)  # PostgreSQL is somebody else

    def fill(self, writers: Iterable[int] = ()) -> None:
        """Leave no room. Where nothing is mounted, `writers` are the processes that cannot write any more."""
        if self.is_mounted:
            self._fill()
        else:
            self._limited = list(writers)
            self._limit(FILE_MAX)

    def _fill(self) -> None:
        size = 0
        with self._ballast.open("wb") as ballast:
            for part in (64 * 1024 * 1024, 1024 * 1024, 4096):
                with contextlib.suppress(OSError):  # until there is no room for another one of this size
                    while True:
                        os.posix_fallocate(ballast.fileno(), size, part)
                        size += part

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)
        self._limit(resource.RLIM_INFINITY)
        self._limited = []

    def _limit(self, most: int) -> None:
        for pid in self._limited:
            try:
                process = psutil.Process(pid)
                _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
                process.rlimit(psutil.RLIMIT_FSIZE, (most, hard))
            except psutil.NoSuchProcess:
                continue

    def close(self) -> None:
        """Take the file system away."""
        self.free()
        if self.is_mounted:
            unmount = ["umount", "-l", str(self.folder)]
            subprocess.run(unmount, check=True, capture_output=True)
            self.is_mounted = False
        shutil.rmtree(self.folder)
