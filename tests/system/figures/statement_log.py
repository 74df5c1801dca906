"""What databases and drivers say of the statements of each process: when they ended, and how long they took."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import orjson

from tests.system.figures.trace.sitecustomize import RECORD

POLL_S = 0.5
CHUNK = 1 << 17
_TOOK = re.compile(r"duration: ([\d.]+) ms(?:  (parse|bind|execute|statement)[^:]*: (.*))?", re.DOTALL)
_DRIVER = ("pg_advisory_unlock_all", "ROLLBACK", "set_config('jit'", "typeinfo")
"""What asyncpg runs of its own accord, and what undoes: nobody asked for that."""


@dataclass
class Statements:
    """Those of one connection, in order."""

    ended_s: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)

    def between(self, since_s: float, until_s: float) -> list[float]:
        """How long those took that ended then."""
        return self.took_ms[bisect_left(self.ended_s, since_s) : bisect_right(self.ended_s, until_s)]

    def add(self, ended_s: float, took_ms: float) -> None:
        self.ended_s.append(max(ended_s, self.ended_s[-1] if self.ended_s else 0.0))
        self.took_ms.append(took_ms)


class StatementLog(ABC):
    """Follows a log. `async with log:`"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[Path, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.of: dict[int, Statements] = defaultdict(Statements)
        """By what tells who ran them."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            await asyncio.to_thread(self.read)
            await asyncio.sleep(POLL_S)

    @abstractmethod
    def read(self) -> None:
        """Take in what was added."""

    def _added(self, path: Path, whole: Callable[[bytes], int]) -> bytes:
        """Return what a file has besides what is known; `whole` tells how much of that is complete."""
        with path.open("rb") as file:
            file.seek(self._places.get(path, 0))
            text = file.read(CHUNK)
        length = whole(text)
        self._places[path] = self._places.get(path, 0) + length
        return text[:length]


class ServerLog(StatementLog):
    """Of PostgreSQL, by the client's port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._begun: dict[int, float] = defaultdict(float)

    def read(self) -> None:
        """Take in what was added; files that nothing is added to any more are removed."""
        files = sorted(self._folder.glob("*.json"))
        for path in files:
            while added := self._added(path, lambda text: text.rfind(b"\n") + 1):
                self._take(added.splitlines())
        for path in files[:-2]:
            path.unlink()

    def _take(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            said = orjson.loads(line)
            port = said.get("remote_port")
            if port is None:
                continue
            if said["error_severity"] == "ERROR":
                self._add(port, said["timestamp"], self._begun.pop(port, 0.0))
            elif found := _TOOK.match(said["message"]):
                took_ms, step, text = float(found[1]), found[2], found[3] or ""
                if step in ("parse", "bind"):
                    self._begun[port] += took_ms
                elif step and not any(word in text for word in _DRIVER):
                    self._add(port, said["timestamp"], took_ms + self._begun.pop(port, 0.0))
                else:
                    self._begun.pop(port, None)

    def _add(self, port: int, timestamp: str, took_ms: float) -> None:
        at = datetime.strptime(timestamp.removesuffix(" UTC"), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        self.of[port].add(at.timestamp(), took_ms)


class Trace(StatementLog):
    """Of SQLite, or of the drivers, by process; trace/sitecustomize.py writes it."""

    def read(self) -> None:
        """Take in what was added: up to where nothing was written yet."""
        for path in self._folder.iterdir():
            while self._take(int(path.name), self._added(path, _whole)):
                pass

    def _take(self, pid: int, added: bytes) -> bool:
        one = self.of[pid]
        for ended_s, took_ms, goes_on in RECORD.iter_unpack(added):
            if goes_on and one.ended_s:
                one.ended_s[-1] = ended_s
                one.took_ms[-1] += took_ms
            else:
                one.add(ended_s, took_ms)
        return bool(added)


def _whole(text: bytes) -> int:
    """Tell how much of it is records that were written."""
    ends = range(0, len(text) - RECORD.size + 1, RECORD.size)
    return next((at for at in ends if not any(text[at : at + RECORD.size])), len(ends) * RECORD.size)
