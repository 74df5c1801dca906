"""How long a writer waits while retention removes what is old, beside how long it waits otherwise.

One process accepts a job every few milliseconds; this one removes all completed jobs, as the cleaner does.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from jobs.clock import now_ms
from jobs.retention import Kind, Policy
from jobs.store import Store
from jobs.store.database import Transaction
from tests.bench.database import at
from tests.bench.fill import fill

ALONE_S = 5.0
GRACE_MS = 60_000
TARGET_MS = 50.0
KEEP_ALL = Policy(kind=Kind.COMPLETED, keep_s=0)


class Writer:
    """The process that accepts."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str) -> Writer:
        program = str(Path(__file__).with_name("accepting.py"))
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, program, url, stdin=pipe, stdout=pipe, limit=64 * 1024 * 1024
            )
        )

    async def waits(self) -> dict[str, Any]:
        """Tell how long it has waited since it was asked last."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"figures\n")
        waits = sorted(orjson.loads(await asyncio.wait_for(self._process.stdout.readline(), 30)))
        return {
            "accepted": len(waits),
            "median_ms": round(statistics.median(waits), 2),
            "p99_ms": round(waits[int(len(waits) * 0.99)], 2),
            "longest_ms": round(waits[-1], 2),
            f"longer_than_{TARGET_MS:.0f}_ms": sum(wait > TARGET_MS for wait in waits),
        }

    async def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


class Holds:
    """How long each transaction of a store was open, its commit included."""

    def __init__(self, store: Store) -> None:
        self.ms: list[float] = []
        self._database = store._database
        self._open = store._database.transaction
        store._database.transaction = self._timed  # type: ignore[method-assign]  # to listen

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[Transaction]:
        opened = self._open()
        transaction = await opened.__aenter__()
        began_s = time.perf_counter()
        try:
            yield transaction
        finally:
            await opened.__aexit__(*sys.exc_info())
            self.ms.append((time.perf_counter() - began_s) * 1000)


async def run(*, rows: int, database: str = "") -> dict[str, Any]:
    """Fill a database with `rows` jobs, most of them completed, and remove those; tell who waited how long."""
    with at(database) as url:
        await fill(url, rows)
        store = await Store.open(url)
        writer = await Writer.start(url)
        try:
            await asyncio.sleep(1.0)
            await writer.waits()  # it starts
            await asyncio.sleep(ALONE_S)
            alone = await writer.waits()
            previewed_s = time.perf_counter()
            preview = await store.retention.preview(KEEP_ALL, now_ms=now_ms(), grace_ms=GRACE_MS)
            preview_ms = (time.perf_counter() - previewed_s) * 1000
            await writer.waits()
            holds = Holds(store)
            began_s, removed = time.perf_counter(), 0
            async for batch in store.retention.run(KEEP_ALL, now_ms=now_ms(), grace_ms=GRACE_MS):
                removed += batch
            took_s = time.perf_counter() - began_s
            during = await writer.waits()
        finally:
            await writer.stop()
            await store.close()
    held = sorted(holds.ms)
    return {
        "dialect": store.dialect,
        "rows": rows,
        "removed": removed,
        "seconds": round(took_s, 1),
        "jobs_per_s": round(removed / took_s),
        "transactions": len(held),
        "held_median_ms": round(statistics.median(held), 2),
        "held_p99_ms": round(held[int(len(held) * 0.99)], 2),
        "held_longest_ms": round(held[-1], 2),
        "preview_ms": round(preview_ms, 1),
        "previewed": preview.value,
        "target_ms": TARGET_MS,
        "timed": {"alone": alone, "while cleaning": during},
    }
