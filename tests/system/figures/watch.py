"""Who uses the database, many times a second: the sessions of PostgreSQL, or the locks on SQLite's files."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

EVERY_S = 0.02
SLOW_S = 0.5
"""How often it looks while no snapshot is near."""
PORTS_EVERY_S = 1.0
POOL_MAX = 2
"""Connections of a pool of SQLite. What is open besides carries the write-ahead log over, and is none of the pool."""
_SESSIONS = (
    "SELECT client_port, state, application_name = 'queueql' AS ours, wait_event_type = 'Lock' AS blocked"
    " FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'"
)
_LOCKS = Path("/proc/locks")
_READERS = {str(byte) for byte in range(123, 128)}
"""Bytes of the wal-index that say that somebody reads."""


@dataclass(frozen=True)
class Use:
    """How one process uses the database."""

    open: int
    """Connections."""
    busy_least: int
    """Connections in use, at least and at most: a lock of SQLite does not say by which connection of a process."""
    busy_most: int
    waiting: int
    """That wait for the turn to write, as far as that can be seen."""


@dataclass(frozen=True)
class Look:
    """All of them at one moment."""

    at_s: float
    active: int
    """PostgreSQL: sessions that run a statement, everybody's."""
    of: dict[int, Use]
    """By process."""


class Watch(ABC):
    """Looks again and again, in a thread of its own. `with watch:`"""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="watch", daemon=True)
        self.looks: list[Look] = []
        self.near = False
        """Whether a snapshot is near."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def between(self, since_s: float, until_s: float) -> list[Look]:
        """Return the looks of that time, and the one before and the one after."""
        first = max((n for n, one in enumerate(self.looks) if one.at_s < since_s), default=0)
        last = next((n for n, one in enumerate(self.looks) if one.at_s > until_s), len(self.looks) - 1)
        return self.looks[first : last + 1]

    def is_busy(self, pid: int) -> bool:
        """Tell whether a process used the database at the last two looks."""
        return all(pid in look.of and look.of[pid].busy_least for look in self.looks[-2:])

    def forget(self, before_s: float) -> None:
        self.looks = [one for one in self.looks if one.at_s > before_s]

    @abstractmethod
    async def _run(self) -> None:
        """Look until it is to stop."""


class Sessions(Watch):
    """Of PostgreSQL. Who asks is connected to another database, so that it is not among them."""

    def __init__(self, pids: Callable[[], Sequence[int]], url: str) -> None:
        super().__init__(pids)
        self._server, _, self._database = url.rpartition("/")
        self.ports: dict[int, set[int]] = {}
        """The sockets that a process has had to PostgreSQL."""
        self.port = 0
        """The own one."""
        self.took_ms: list[tuple[float, float]] = []
        """When the own questions were answered, and how long that took."""

    async def _run(self) -> None:
        connection = await asyncpg.connect(f"{self._server}/postgres", server_settings={"jit": "off"})
        server = connection._addr[1]
        self.port = connection._transport.get_extra_info("sockname")[1]
        due_s = 0.0
        while not self._stop.is_set():
            if (now_s := time.time()) >= due_s:
                due_s = now_s + PORTS_EVERY_S
                self._find_ports(server)
            asked_s = time.time()
            rows = await connection.fetch(_SESSIONS, self._database)
            answered_s = time.time()
            self.took_ms.append((answered_s, 1000 * (answered_s - asked_s)))
            at_s = (asked_s + answered_s) / 2
            of = {}
            for pid, ports in self.ports.items():
                own = [row for row in rows if row["ours"] and row["client_port"] in ports]
                busy = sum(row["state"] != "idle" for row in own)
                of[pid] = Use(len(own), busy, busy, 0)
            self.looks.append(Look(at_s, sum(row["state"] == "active" for row in rows), of))
            await asyncio.sleep(EVERY_S if self.near else SLOW_S)
        await connection.close()

    def _find_ports(self, server: int) -> None:
        for pid in self._pids():
            ports = self.ports.setdefault(pid, set())
            ports |= {
                one.laddr.port
                for one in psutil.Process(pid).net_connections()
                if one.raddr and one.raddr.port == server
            }


class Locks(Watch):
    """On SQLite's files, as the kernel lists them."""

    def __init__(self, pids: Callable[[], Sequence[int]], database: Path) -> None:
        super().__init__(pids)
        self._database = database

    async def _run(self) -> None:
        due_s = 0.0
        pids: list[int] = []
        opened: dict[int, int] = {}
        shm, turn, write = (self._name(ending) for ending in ("-shm", "-turn.lock", "-write.lock"))
        while not self._stop.is_set():
            if (now_s := time.time()) >= due_s:
                due_s, pids = now_s + PORTS_EVERY_S, list(self._pids())
                opened = {pid: self._open(pid) for pid in pids}
            asked_s = time.time()
            held: set[tuple[int, str]] = set()
            waits: set[int] = set()
            for line in _LOCKS.read_text().splitlines():  # noqa: ASYNC240  # the kernel answers from memory
                parts = line.split()
                blocked = parts[1] == "->"
                _, _, _, holder, place, first, _ = parts[2:] if blocked else parts[1:]
                if blocked and place in (turn, write):
                    waits.add(int(holder))
                elif place == write or (place == shm and first in _READERS):
                    held.add((int(holder), place))
            of = {}
            for pid in pids:
                writes, reads = (pid, write) in held, (pid, shm) in held
                of[pid] = Use(
                    opened[pid],
                    int(writes or reads),
                    2 if writes and reads else int(writes or reads),
                    int(pid in waits),
                )
            self.looks.append(Look((asked_s + time.time()) / 2, 0, of))
            await asyncio.sleep(EVERY_S if self.near else SLOW_S)

    def _name(self, ending: str) -> str:
        """Name a file as the kernel does."""
        found = self._database.with_name(f"{self._database.name}{ending}").stat()
        return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"

    def _open(self, pid: int) -> int:
        found = sum(one.path == str(self._database) for one in psutil.Process(pid).open_files())
        return min(found, POOL_MAX)
