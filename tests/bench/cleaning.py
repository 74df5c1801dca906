"""How long a writer waits while retention removes what is old, beside how long it waits otherwise.

One process accepts a job every few milliseconds; this one removes all completed jobs, as the cleaner does.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from jobs.clock import now_ms
from jobs.retention import Kind, Policy
from jobs.store import Store
from jobs.store.database import Transaction
from jobs.store.sqlite import Client
from tests.bench.database import at
from tests.bench.fill import fill

ALONE_S = 5.0
GRACE_MS = 60_000
TARGET_MS = 50.0
KEEP_ALL = Policy(kind=Kind.COMPLETED, keep_s=0)


class Beside:
    """A program of this folder that runs beside, and answers each line `figures` with a line of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, name: str, argument: str) -> Beside:
        program = str(Path(__file__).with_name(name))
        pipe = asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, program, argument, stdin=pipe, stdout=pipe, limit=64 * 1024 * 1024
            )
        )

    async def figures(self) -> list[Any]:
        """Ask for what it has noted since it was asked last."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"figures\n")
        return list(orjson.loads(await asyncio.wait_for(self._process.stdout.readline(), 30)))

    async def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


class Hold(NamedTuple):
    """A transaction that was open."""

    began_s: float
    ended_s: float
    commit_ms: float
    """The share of COMMIT."""
    queued_ms: float
    """For how long its threads could have run and had no processor, as the kernel counts it, each for itself."""

    @property
    def ms(self) -> float:
        return (self.ended_s - self.began_s) * 1000

    @property
    def net_ms(self) -> float:
        """At least so much of it was work and disk: its threads may have waited for a processor at the same time."""
        return max(0.0, self.ms - self.queued_ms)


class Holds:
    """How long each transaction of a store was open, its commit included."""

    def __init__(self, store: Store) -> None:
        self.all: list[Hold] = []
        self._database = store._database
        self._open = store._database.transaction
        store._database.transaction = self._timed  # type: ignore[method-assign]  # to listen

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[Transaction]:
        opened = self._open()
        transaction = await opened.__aenter__()
        began_s, queued_ms = time.perf_counter(), self._queued_ms()
        try:
            yield transaction
        finally:
            commit_s = time.perf_counter()
            await opened.__aexit__(*sys.exc_info())
            ended_s = time.perf_counter()
            self.all.append(Hold(began_s, ended_s, (ended_s - commit_s) * 1000, self._queued_ms() - queued_ms))

    def _queued_ms(self) -> float:
        threads = {threading.main_thread().native_id}
        if isinstance(self._database, Client) and self._database._connection:
            threads.add(self._database._connection._thread.native_id)
        waits = (Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[1] for thread in threads)
        return sum(int(wait_ns) / 1e6 for wait_ns in waits)

    def figures(self, syncs: Sequence[tuple[float, float]]) -> dict[str, Any]:
        """Tell how long they were, and how long the disk took meanwhile to sync 8 KiB (`syncs`, of `syncing.py`)."""
        return {
            **spread("held", [hold.ms for hold in self.all]),
            **spread("held_net", [hold.net_ms for hold in self.all]),
            **spread("commit", [hold.commit_ms for hold in self.all]),
            **spread("disk_sync", [took_ms for _, took_ms in syncs]),
            "longer": sum(hold.ms > TARGET_MS for hold in self.all),
            "longer_net": sum(hold.net_ms > TARGET_MS for hold in self.all),
            "tables": {"longer": [_explained(hold, syncs) for hold in self.all if hold.ms > TARGET_MS]},
        }


def _explained(hold: Hold, syncs: Sequence[tuple[float, float]]) -> dict[str, float]:
    beside = [ms for began_s, ms in syncs if began_s < hold.ended_s and began_s + ms / 1000 > hold.began_s]
    return {
        "held_ms": round(hold.ms, 1),
        "commit_ms": round(hold.commit_ms, 1),
        "queued_ms": round(hold.queued_ms, 1),
        "disk_sync_beside_ms": round(max(beside, default=0.0), 1),
    }


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Describe many milliseconds."""
    ordered = sorted(values)
    return {
        f"{name}_median_ms": round(statistics.median(ordered), 2),
        f"{name}_p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        f"{name}_longest_ms": round(ordered[-1], 2),
    }


def _waits(waits: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(waits)
    return {
        "accepted": len(waits),
        "median_ms": round(statistics.median(ordered), 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
        "longest_ms": round(ordered[-1], 2),
        f"longer_than_{TARGET_MS:.0f}_ms": sum(wait > TARGET_MS for wait in waits),
    }


async def run(*, rows: int, database: str = "") -> dict[str, Any]:
    """Fill a database with `rows` jobs, most of them completed, and remove those; tell who waited how long."""
    with at(database) as url, tempfile.TemporaryDirectory(prefix="qq-bench-") as folder:
        await fill(url, rows)
        store = await Store.open(url)
        writer = await Beside.start("accepting.py", url)
        disk = await Beside.start("syncing.py", str(Path(folder) / "synced"))
        try:
            await asyncio.sleep(1.0)
            await writer.figures()  # it starts
            await asyncio.sleep(ALONE_S)
            alone = await writer.figures()
            previewed_s = time.perf_counter()
            preview = await store.retention.preview(KEEP_ALL, now_ms=now_ms(), grace_ms=GRACE_MS)
            preview_ms = (time.perf_counter() - previewed_s) * 1000
            await writer.figures()
            await disk.figures()
            holds = Holds(store)
            began_s, removed = time.perf_counter(), 0
            async for batch in store.retention.run(KEEP_ALL, now_ms=now_ms(), grace_ms=GRACE_MS):
                removed += batch
            took_s = time.perf_counter() - began_s
            during = await writer.figures()
            syncs = [(began_s, ms) for began_s, ms in await disk.figures()]
        finally:
            await writer.stop()
            await disk.stop()
            await store.close()
    return {
        "dialect": store.dialect,
        "rows": rows,
        "removed": removed,
        "seconds": round(took_s, 1),
        "jobs_per_s": round(removed / took_s),
        "transactions": len(holds.all),
        **holds.figures(syncs),
        "preview_ms": round(preview_ms, 1),
        "previewed": preview.value,
        "target_ms": TARGET_MS,
        "timed": {"alone": _waits(alone), "while cleaning": _waits(during)},
    }
