"""What is done to the product around a snapshot, so that figures which are 0 as a rule have something to say."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.system.chaos.deployment import Deployment
from tests.system.figures.deployment import BusyEmbedded, BusyReplicated
from tests.system.figures.task import VARIABLE
from tests.system.product import Api

BLOCK_S = 4.5
BLOCK_BEFORE_S = 3.2
FREEZE_S = 1.0
HOLD_MAX_S = 1.6
REPORT_S = 5.0
"""How often a process says how it is, half a second later at most."""
POOL_MAX = 10
CROWD = 16
"""Queries at a time, of a process that may have ten connections."""
ENQUEUE = "mutation ($input: JobEnqueueInput!) { jobEnqueue(input: $input) { userErrors { message } } }"
ASKED = "{ backups(first: 1) { archiveId } }"


@dataclass(frozen=True)
class Span:
    """What was done to a process, and when."""

    pid: int
    begun_s: float
    ended_s: float

    def has(self, at_s: float) -> bool:
        return self.begun_s <= at_s <= self.ended_s


@dataclass
class Provoked:
    """All that was done."""

    blocked: list[Span] = field(default_factory=list)
    """Event loops of workers."""
    frozen: list[Span] = field(default_factory=list)
    """Processes."""
    crowded: list[Span] = field(default_factory=list)
    """Processes that more queries were asked of than they have connections, while no query could end."""
    held: list[Span] = field(default_factory=list)
    """SQLite's write lock, by the checker."""


class Provocation:
    """Does it. `said_s` tells when a process last said how it is."""

    def __init__(self, product: Deployment, apis: list[Api], said_s: Callable[[int], float]) -> None:
        self._product = product
        self._apis = apis
        self._said_s = said_s
        self._file = Path(product.environ()[VARIABLE])
        self.done = Provoked()

    async def around(self, slot_s: float, number: int) -> None:
        """Do what belongs to the snapshot with this number, until it is taken."""
        async with asyncio.TaskGroup() as together:
            together.create_task(self._block(slot_s) if number % 2 == 0 else self._freeze(slot_s))
            together.create_task(self._hold(slot_s) if isinstance(self._product, BusyEmbedded) else self._crowd(slot_s))

    def read(self) -> Provoked:
        """Return what was done, with what the tasks have noted."""
        if self._file.exists():
            rows = [line.split() for line in self._file.read_text().splitlines()]
            self.done.blocked = [Span(int(pid), float(begun), float(ended)) for pid, begun, ended in rows]
        return self.done

    async def _block(self, slot_s: float) -> None:
        await _until(slot_s - BLOCK_BEFORE_S)
        await self._apis[0].execute(ENQUEUE, {"input": {"task": "block", "args": {"seconds": BLOCK_S}}})

    async def _freeze(self, slot_s: float) -> None:
        """Freeze a process of the services once between any two of its reports before the snapshot."""
        (pid, *_) = sorted(self._product.pids("services"))
        last_s = 0.0
        while time.time() < slot_s - 1.5:
            said_s = self._said_s(pid)
            begin_s = said_s + 1.5
            if said_s == last_s or not time.time() - 2.0 < begin_s < slot_s - 1.5:
                await asyncio.sleep(0.1)
                continue
            last_s = said_s
            await _until(begin_s)
            begun_s = time.time()
            await self._product.freeze("services", 0, FREEZE_S)
            self.done.frozen.append(Span(pid, begun_s, time.time()))

    async def _crowd(self, slot_s: float) -> None:
        """Ask too much of the last API whenever it is about to report, while nobody may read what is asked for."""
        assert isinstance(self._product, BusyReplicated)
        pid = self._product.pids("api")[-1]
        connection = await asyncpg.connect(self._product.sql_url)
        last_s = 0.0
        while time.time() < slot_s - 0.5:
            said_s = self._said_s(pid)
            if said_s == last_s or not time.time() < said_s + REPORT_S - 0.7 < slot_s - 2.5:
                await asyncio.sleep(0.1)
                continue
            last_s = said_s
            await _until(said_s + REPORT_S - 0.7)
            async with asyncio.TaskGroup() as asking, connection.transaction():
                await connection.execute("LOCK TABLE backup IN ACCESS EXCLUSIVE MODE")
                for _ in range(CROWD):
                    asking.create_task(self._apis[-1].execute(ASKED))
                await self._until_blocked(connection)
                begun_s = time.time()
                await self._until_said(pid, said_s)
                self.done.crowded.append(Span(pid, begun_s, time.time()))
        await connection.close()

    async def _until_blocked(self, connection: asyncpg.Connection) -> None:
        text = "SELECT count(*) FROM pg_locks WHERE relation = 'backup'::regclass AND NOT granted"
        deadline_s = time.time() + HOLD_MAX_S
        while await connection.fetchval(text) < POOL_MAX and time.time() < deadline_s:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # for the others, which wait for a connection

    async def _hold(self, slot_s: float) -> None:
        """Keep everybody from writing to SQLite while the API reports."""
        assert isinstance(self._product, BusyEmbedded)
        (pid,) = self._product.pids("api")
        said_s = self._said_s(pid)
        while said_s + REPORT_S < time.time() + 0.5:
            await asyncio.sleep(0.1)
            said_s = self._said_s(pid)
        await _until(min(said_s + REPORT_S - 0.2, slot_s - 2.5))
        with closing(
            sqlite3.connect(self._product.database, isolation_level=None, timeout=10, check_same_thread=False)
        ) as database:
            await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
            begun_s = time.time()
            await asyncio.sleep(0.5)
            await self._until_said(pid, said_s)
            database.execute("ROLLBACK")
            self.done.held.append(Span(pid, begun_s, time.time()))

    async def _until_said(self, pid: int, before_s: float) -> None:
        deadline_s = time.time() + HOLD_MAX_S
        while self._said_s(pid) == before_s and time.time() < deadline_s:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.time()))
