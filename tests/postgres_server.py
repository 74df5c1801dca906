"""A PostgreSQL for tests: the one that is configured, or one of our own from installed binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

URL_VARIABLE = "QUEUEQL_TEST_POSTGRES_URL"
INSTALLED = Path("/usr/lib/postgresql")
_SPEED = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresMissing(Exception):
    """There is no PostgreSQL to test with."""


class PostgresServer:
    """A real server in a temporary folder, started once and shared; each test makes a database of its own.

    With a `folder` it is one of our own in any case, in there, and what it has committed survives its being killed.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._folder: Path | None = None
        self._bin: Path | None = None
        self._started: list[str] = []
        self.url = "" if folder else os.environ.get(URL_VARIABLE, "")

    def start(self) -> None:
        """Start unless one is configured. Raises PostgresMissing with one sentence."""
        if self.url:
            return
        self._bin = find_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="qq-pg-", dir=self._given))
        user = _user()
        if user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        password = self._folder / "password"
        password.write_text("test")
        password.chmod(0o644)
        self._run("initdb", "-D", str(self._data), "-U", "queueql", "-A", "scram-sha-256", "--pwfile", str(password),
                  "-E", "UTF8", "--no-locale", "--no-sync")  # fmt: skip
        port = _free_port()
        options = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", **_SPEED,
                   "max_connections": "200"}  # fmt: skip
        if self._given:
            options |= {"synchronous_commit": "on", "full_page_writes": "on", "max_wal_size": "128MB"}
        given = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._started = ["-D", str(self._data), "-w", "-t", "30", "-l", str(self._folder / "log"), "-o", given, "start"]
        self._run("pg_ctl", *self._started)
        self.url = f"postgres://queueql:test@127.0.0.1:{port}/postgres"

    def stop(self) -> None:
        """Stop the server that was started here and remove what it wrote."""
        if self._folder:
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
            shutil.rmtree(self._folder)
            self._folder = None

    def restart(self) -> None:
        """Break every connection, as a crash does, and come back."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "restart")

    def revive(self) -> None:
        """Start again where the server has ended by itself."""
        assert self._bin
        status = [str(self._bin / "pg_ctl"), "-D", str(self._data), "status"]
        user = _user()
        who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        if subprocess.run(status, check=False, stdout=subprocess.DEVNULL, **who).returncode:
            self._run("pg_ctl", *self._started)

    @property
    def is_ours(self) -> bool:
        """Whether it was started here."""
        return self._folder is not None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes for the block: the kernel still takes connections for it, and it says nothing."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
        stopped = []
        try:
            postmaster.suspend()  # first, so that it starts no more
            stopped = [postmaster, *postmaster.children(recursive=True)]
            for process in stopped[1:]:
                process.suspend()
            yield
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    @property
    def _data(self) -> Path:
        assert self._folder
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        assert self._bin
        assert self._folder
        user = _user()
        with (self._folder / f"{program}.out").open("w+b") as output:
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                check=False,
                timeout=60,
                **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
            )
            output.seek(0)
            assert done.returncode == 0, f"{program}: {output.read().decode()}"


def find_binaries() -> Path:
    """Folder of initdb and pg_ctl; as root, Debian's package is installed where they are missing."""
    found = _look()
    if found is None and os.getuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "postgresql"]
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], install):
            subprocess.run(command, check=False, env=environ, stdout=subprocess.DEVNULL, timeout=600)
        found = _look()
    if found is None:
        raise PostgresMissing(
            f"The tests need PostgreSQL: set {URL_VARIABLE}, or install its server (Debian: postgresql)."
        )
    return found


def _look() -> Path | None:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += sorted(INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    for folder in folders:
        # Debian's wrappers and other links lead to where the libraries are found.
        pg_ctl = (folder / "pg_ctl").resolve()
        if pg_ctl.exists() and (pg_ctl.parent / "initdb").exists():
            return pg_ctl.parent
    return None


def _user() -> pwd.struct_passwd | None:
    """Whom to be instead of root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing(
        "The tests run as root, and PostgreSQL needs another user to run as; make one named postgres."
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
