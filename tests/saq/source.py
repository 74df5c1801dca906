"""SAQ's own tests: they are in its source distribution, which is fetched once and never committed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PIN = Path(__file__).with_name("source.txt")
CACHE = Path(__file__).resolve().parents[2] / ".tools" / "saq"
FETCH_S = 120.0


class SaqNotFetched(Exception):
    """SAQ's source distribution is not here, and pip cannot get it."""


def saq_tests() -> Path:
    """Return the folder with SAQ's tests, fetched where it is missing.

    Raises SaqNotFetched.
    """
    # Named after the pin: another pin, another folder.
    folder = CACHE / hashlib.sha256(PIN.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            _unpack(_fetch(Path(temporary)), Path(temporary, "tests"))
            try:
                Path(temporary, "tests").rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
    return folder


def _fetch(into: Path) -> Path:
    """Let pip do it: it knows where packages come from on this machine, and compares the hash."""
    pip = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    what = ["--require-hashes", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-r", str(PIN)]
    limits = ["--retries", "2", "--timeout", "15", "--dest", str(into)]
    try:
        done = subprocess.run([*pip, *what, *limits], capture_output=True, text=True, check=False, timeout=FETCH_S)
        said = done.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"nothing for {FETCH_S:.0f} s"]
    archive = next(into.glob("saq-*.tar.gz"), None)
    if archive is None:
        last = next((line for line in reversed(said) if "ERROR" in line), "".join(said[-1:]))
        raise SaqNotFetched(
            f"SAQ's own tests need its source distribution once, from a registry that pip can reach: pip says {last!r}."
        )
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as files:
        for member in files:
            path = Path(member.name)
            if member.isfile() and path.parent.name == "tests" and (file := files.extractfile(member)):
                (folder / path.name).write_bytes(file.read())
