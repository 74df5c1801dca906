"""The npm packages of the client tests, installed once for each state of the lock file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
_INSTALL_S = 300


class NoNode(Exception):
    """The sentence says what is missing."""


def run(argv: list[str], *, timeout_s: float, environ: dict[str, str] | None = None) -> str:
    """Run a program in this folder; return what it printed, or fail with it."""
    done = subprocess.run(
        argv,
        cwd=HERE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def install() -> None:
    """Make node_modules what the lock file says. Raises NoNode."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoNode(f"The tests with GraphQL clients need {program} (Node.js 20 or newer).")
    stamp = HERE / "node_modules" / ".lock-checksum"
    lock = HERE / "package-lock.json"
    with lock.open() as alone:  # tests run in several processes
        fcntl.flock(alone, fcntl.LOCK_EX)
        checksum = hashlib.sha256(lock.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != checksum:
            run(["npm", "ci", "--silent"], timeout_s=_INSTALL_S)
            stamp.write_text(checksum)
