"""What really ran, written by the jobs themselves into a file outside of the product: one line for each thing done."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import Context

VARIABLE = "CHAOS_LEDGER"

BEGIN, END, FAIL, KILL = "begin", "end", "fail", "kill"


@dataclass(frozen=True)
class Line:
    what: str
    job: str
    run: int
    attempt: int
    number: int
    pid: int
    at_s: float


def write(what: str, ctx: Any, number: int) -> None:
    """Add a line, whole or not at all. `ctx` is what the task was given, by QueueQL or by SAQ."""
    if isinstance(ctx, Context):
        who: tuple[str, int, int] = (ctx.spec.id, ctx.run, ctx.attempt)
    else:
        who = (ctx["job"].key, 1, ctx["job"].attempts)
    line = f"{what} {who[0]} {who[1]} {who[2]} {number} {os.getpid()} {time.time():.4f}\n"
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read(file: Path) -> list[Line]:
    """Return all lines, in the order in which they were written."""
    if not file.exists():
        return []
    found = []
    for text in file.read_text().splitlines():
        what, job, run, attempt, number, pid, at_s = text.split()
        found.append(Line(what, job, int(run), int(attempt), int(number), int(pid), float(at_s)))
    return found


def by_run(lines: Iterable[Line]) -> dict[tuple[str, int], list[Line]]:
    """Group the lines by job and run."""
    found = defaultdict[tuple[str, int], list[Line]](list)
    for line in lines:
        found[line.job, line.run].append(line)
    return found
