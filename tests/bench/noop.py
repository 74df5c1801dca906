"""The job that every system in the comparison runs: it does nothing, and measures that."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from jobs import task


class Meter:
    """Counts jobs in a worker process and writes what it saw once all have run."""

    def __init__(self, total: int, file: Path) -> None:
        self._total = total
        self._file = file
        self._count = 0
        self._began_s = self._cpu_began_s = 0.0
        self._waits_ms: list[float] = []

    def count(self, sent_s: float) -> None:
        """Note a job that begins now and was enqueued at `sent_s` (0: its wait does not matter)."""
        if self._count == 0:
            self._began_s, self._cpu_began_s = time.perf_counter(), time.process_time()
        self._count += 1
        if sent_s:
            self._waits_ms.append((time.time() - sent_s) * 1000)
        if self._count == self._total:
            self._write()

    def _write(self) -> None:
        measured = {
            "seconds": time.perf_counter() - self._began_s,
            "cpu_seconds": time.process_time() - self._cpu_began_s,
            "waits_ms": self._waits_ms,
        }
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(measured))
        part.rename(self._file)


_meter: Meter | None = None


def _measure(sent_s: float) -> None:
    global _meter  # noqa: PLW0603  # one worker process measures one run
    if _meter is None:
        _meter = Meter(int(os.environ["BENCH_JOBS"]), Path(os.environ["BENCH_FILE"]))
    _meter.count(sent_s)


@task(queue="bench")
async def noop(sent_s: float = 0.0) -> None:
    """Do nothing."""
    _measure(sent_s)


async def noop_saq(_ctx: dict[str, Any], *, sent_s: float = 0.0) -> None:
    """Do nothing, for SAQ's worker."""
    _measure(sent_s)
