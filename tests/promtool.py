"""promtool, Prometheus' own checker: the one of the system, else the one in Debian's package, unpacked beside it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".tools" / "promtool"
PACKAGE = "prometheus"
"""It brings promtool. Its archive is fetched by apt, which checks the hash that Debian has signed."""


class NoPromtool(Exception):
    """There is no promtool, and the tests cannot get one."""


def executable() -> str:
    """Path of promtool. On Debian it is unpacked into .tools where it is missing; nothing is installed, no server runs.

    Raises NoPromtool.
    """
    if found := _find():
        return found
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPromtool("The checks of metrics and rules need promtool, which comes with Prometheus.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _find():
            _unpack()
    if found := _find():
        return found
    raise NoPromtool(f"Debian's package {PACKAGE} was fetched, and there is no promtool in it.")


def check(*arguments: str, given: bytes | None = None) -> str:
    """Run promtool and return what it says. Raises AssertionError with that where it finds a fault."""
    done = subprocess.run([executable(), *arguments], input=given, capture_output=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def _find() -> str | None:
    own = FOLDER / "promtool"
    return str(own) if own.exists() else shutil.which("promtool")


def _unpack() -> None:
    # _apt, which fetches for root, may not write everywhere.
    with tempfile.TemporaryDirectory(prefix="qq-promtool-") as place:
        folder = Path(place)
        if _fetch(folder) and os.geteuid() == 0:
            _run(["apt-get", "-q", "update"], folder)  # there are no lists yet, or old ones
        if fault := _fetch(folder) if not list(folder.glob("*.deb")) else "":
            raise NoPromtool(f"apt-get could not fetch Debian's package {PACKAGE}, which has promtool: {fault}")
        _run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder / "all")], folder)
        found = folder / "all" / "usr" / "bin" / "promtool"
        if found.exists():
            shutil.copy(found, FOLDER / "new")
            (FOLDER / "new").rename(FOLDER / "promtool")


def _fetch(folder: Path) -> str:
    """Fetch the package; return what kept it from being fetched, empty where nothing did."""
    return _run(["apt-get", "-q", "download", PACKAGE], folder)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=600,
    )  # fmt: skip
    return "".join(done.stdout.strip().splitlines()[-1:]) if done.returncode else ""
