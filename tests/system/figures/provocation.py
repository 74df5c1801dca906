"""What is done to the product around a snapshot, so that figures which are 0 as a rule have something to say."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.system.chaos.deployment import Deployment
from tests.system.figures.deployment import BusyEmbedded, BusyReplicated
from tests.system.figures.task import VARIABLE
from tests.system.product import Api

BLOCK_S = 8.0
BLOCK_BEFORE_S = 6.5
FREEZE_S = 2.0
HOLD_MAX_S = 2.0
REPORT_S = 5.0
"""How often a process says how it is, half a second later at most."""
BEHIND_S, LEFT_S = 1.0, 0.35
"""So long before a snapshot the recorder is kept from writing, and so long after it it goes on."""
CROWD_BEFORE_S, IN_LINE_S = 1.2, 0.6
"""So long before a process may report too much is asked of it; and so long that takes to stand in line."""
TRIES, TRY_S = 4, 0.1
"""So often SQLite's turn to write is tried to be left to the process that is asked, and so long that takes."""
FREE_BYTES = 400_000
POOL_MAX = 10
CROWD = 40
"""Queries at a time, of a process that may have ten connections, or one that writes."""
ENQUEUE = "mutation ($input: JobEnqueueInput!) { jobEnqueue(input: $input) { job { id } userErrors { message } } }"
ASKED = "{ backups(first: 1) { archiveId } }"
WRITTEN = f'mutation {{ slowQueriesClear(input: {{ fingerprint: "{"0" * 64}" }}) {{ cleared }} }}'
FREE = "INSERT INTO quarantine (at_ms, source, ref, reason, record, digest) VALUES (0, '', '', '', zeroblob(?), '')"


@dataclass(frozen=True)
class Span:
    """What was done to a process, and when."""

    pid: int
    begun_s: float
    ended_s: float
    said_s: float = 0.0
    """When it had last said how it is, where that was waited for."""

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
    """Processes that more was asked of than they have connections, while nothing of it could end."""
    held: list[Span] = field(default_factory=list)
    """SQLite, by the checker; of no process."""


class Provocation:
    """Does it. `said_s` tells when a process last said how it is, `is_busy` whether it uses the database."""

    def __init__(
        self, product: Deployment, apis: list[Api], said_s: Callable[[int], float], is_busy: Callable[[int], bool]
    ) -> None:
        self._product = product
        self._apis = apis
        self._said_s = said_s
        self._is_busy = is_busy
        self._file = Path(product.environ()[VARIABLE])
        self.done = Provoked()

    async def around(self, slot_s: float, number: int) -> None:
        """Do what belongs to the snapshot with this number, until it is taken."""
        crowd = self._crowd_sqlite if isinstance(self._product, BusyEmbedded) else self._crowd_postgres
        async with asyncio.TaskGroup() as together:
            together.create_task(self._block(slot_s) if number % 2 == 0 else self._freeze(slot_s))
            together.create_task(self._crowds(slot_s, crowd))
            together.create_task(self._hold_recorder(slot_s, number))

    def read(self) -> Provoked:
        """Return what was done, with what the tasks have noted."""
        if self._file.exists():
            rows = [line.split() for line in self._file.read_text().splitlines()]
            self.done.blocked = [Span(int(pid), float(begun), float(ended)) for pid, begun, ended in rows]
        return self.done

    async def _block(self, slot_s: float) -> None:
        await _until(slot_s - BLOCK_BEFORE_S)
        await self._apis[0].execute(ENQUEUE, {"input": {"task": "block", "args": {"seconds": BLOCK_S}}})
        blocked = len(self.read().blocked)
        await _until(slot_s - BLOCK_BEFORE_S + BLOCK_S)
        while len(self.read().blocked) == blocked and time.time() < slot_s + BLOCK_S:
            await asyncio.sleep(0.05)  # it notes only then when that was

    async def _freeze(self, slot_s: float) -> None:
        """Freeze a process of the services once between any two of its reports before the snapshot."""
        (pid, *_) = sorted(self._product.pids("services"))
        last_s = 0.0
        while time.time() < slot_s - 1.5:
            said_s = self._said_s(pid)
            begin_s = said_s + 1.75  # between two ticks of its loop
            if said_s == last_s or not time.time() < begin_s < slot_s - FREEZE_S - 1.5:
                await asyncio.sleep(0.1)
                continue
            last_s = said_s
            await _until(begin_s)
            begun_s = time.time()
            await self._product.freeze("services", 0, FREEZE_S)
            self.done.frozen.append(Span(pid, begun_s, time.time(), said_s))

    async def _crowds(self, slot_s: float, crowd: Callable[[int, float], Awaitable[None]]) -> None:
        """Ask too much of the last API whenever it is about to report, so that the snapshot shows it."""
        pid = self._product.pids("api")[-1]
        last_s = 0.0
        while time.time() < slot_s - CROWD_BEFORE_S:
            said_s = self._said_s(pid)
            if said_s == last_s or not time.time() < said_s + REPORT_S - CROWD_BEFORE_S < slot_s - CROWD_BEFORE_S:
                await asyncio.sleep(0.05)
                continue
            last_s = said_s
            await _until(said_s + REPORT_S - CROWD_BEFORE_S)
            await crowd(pid, said_s)

    async def _crowd_postgres(self, pid: int, said_s: float) -> None:
        """Let nobody read what is asked for."""
        assert isinstance(self._product, BusyReplicated)
        connection = await asyncpg.connect(self._product.sql_url)
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
        await asyncio.sleep(IN_LINE_S)  # for the others, which wait for a connection

    async def _crowd_sqlite(self, pid: int, said_s: float) -> None:
        """Let nobody write."""
        async with self._crowded(pid):
            await asyncio.sleep(IN_LINE_S)
            await self._until_said(pid, said_s)

    @asynccontextmanager
    async def _crowded(self, pid: int) -> AsyncIterator[None]:
        """Let it have the turn to write, so that one of its connections is in use, and all others wait."""
        async with asyncio.TaskGroup() as asking, AsyncExitStack() as held:
            for left in reversed(range(TRIES)):
                asking.create_task(self._apis[-1].execute(WRITTEN))
                await held.enter_async_context(self._alone())
                await asyncio.sleep(TRY_S)
                if self._is_busy(pid) or not left:
                    break
                await held.aclose()
            for _ in range(CROWD):
                asking.create_task(self._apis[-1].execute(WRITTEN))
            begun_s = time.time() + IN_LINE_S
            yield
            self.done.crowded.append(Span(pid, begun_s, time.time()))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[sqlite3.Connection]:
        """Keep everybody from writing to SQLite; who has the turn to write waits for this."""
        assert isinstance(self._product, BusyEmbedded)
        with closing(
            sqlite3.connect(self._product.database, isolation_level=None, timeout=10, check_same_thread=False)
        ) as database:
            await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
            begun_s = time.time()
            try:
                yield database
            finally:
                database.execute("COMMIT")
                self.done.held.append(Span(0, begun_s, time.time()))

    async def _hold_recorder(self, slot_s: float, number: int) -> None:
        """Let the recorder be behind. SQLite: nobody can write then, so that is not done for each snapshot."""
        if isinstance(self._product, BusyReplicated):
            await _until(slot_s - BEHIND_S)
            connection = await asyncpg.connect(self._product.sql_url)
            async with connection.transaction():
                await connection.execute("LOCK TABLE recorder IN EXCLUSIVE MODE")
                await _until(slot_s + LEFT_S)
            await connection.close()
            return
        await _until(slot_s - 4.0)
        async with self._alone() as database:
            database.execute(FREE, (FREE_BYTES,))
            database.execute("DELETE FROM quarantine WHERE digest = ''")
        if number % 2:
            await _until(slot_s - BEHIND_S)
            async with self._crowded(self._product.pids("api")[-1]):
                await _until(slot_s + LEFT_S)

    async def _until_said(self, pid: int, before_s: float) -> None:
        deadline_s = time.time() + HOLD_MAX_S
        while self._said_s(pid) == before_s and time.time() < deadline_s:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.time()))
