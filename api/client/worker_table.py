"""How workers are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.client.screen import Column, Screen
from api.client.text import both, clock, length, relative, safe, size
from jobs.amount import amount

COLUMNS = (
    Column("WORKER"), Column("PROCESS", rank=1), Column("STATE"), Column("JOBS", right=True),
    Column("CPU", rank=2, right=True), Column("MEMORY", rank=3, right=True), Column("LAG", rank=4, right=True),
    Column("FINISHED", rank=5, right=True), Column("FAILED", rank=6, right=True), Column("SINCE", rank=7),
    Column("QUEUES", rank=8, folds=True),
)  # fmt: skip
_RUNNING = (Column("ID"), Column("TASK", folds=True), Column("SINCE"))


def rows_of(screen: Screen, workers: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the rows of a table of workers."""
    now = screen.now()
    return [
        [
            worker["session"],
            f"{safe(worker['host'])}:{worker['pid']}",
            state_text(worker),
            f"{worker['active']}/{worker['concurrency']}",
            _cpu(worker["cpu"]),
            size(worker["memoryBytes"]),
            length(worker["loopLag"]),
            worker["finished"] or "-",
            worker["failed"] or "-",
            relative(worker["startedAt"], now),
            safe(", ".join(worker["queues"])),
        ]
        for worker in workers
    ]


def state_text(worker: dict[str, Any]) -> str:
    """Return what a worker does, and what it was told where it does not do it yet."""
    state: str = worker["state"]
    wanted = worker["wanted"] or {}
    if wanted.get("isStopping") and state != "STOPPING":
        return f"{state} > STOPPING"
    if wanted.get("isQuiet") and state == "RUNNING":
        return f"{state} > QUIET"
    if not wanted.get("isQuiet") and state == "QUIET":
        return f"{state} > RUNNING"
    if worker["isResponding"] is False:
        return f"{state} (blocked)"
    return state


def print_workers(screen: Screen, workers: Sequence[dict[str, Any]], nothing: str) -> None:
    """Print a table of workers."""
    screen.table(COLUMNS, rows_of(screen, workers), nothing)


def print_worker(screen: Screen, worker: dict[str, Any]) -> None:
    """Print all that is known of a worker."""
    now = screen.now()
    blocked = worker["blockedBy"]
    screen.line((worker["session"], "bold"))
    screen.facts(
        [
            ("State", state_text(worker)),
            ("Process", f"{worker['pid']} on {worker['host']}"),
            ("Version", worker["version"]),
            ("Jobs", f"{worker['active']} of {worker['concurrency']} at a time"),
            ("Queues", ", ".join(worker["queues"])),
            ("Tasks", ", ".join(worker["tasks"])),
            ("Told", _told(worker["wanted"])),
            ("Finished", _finished(worker)),
            ("CPU", _cpu(worker["cpu"])),
            ("Memory", size(worker["memoryBytes"])),
            ("Loop lag", length(worker["loopLag"])),
            ("Blocked by", f"{blocked['id']} ({blocked['task']})" if blocked else ""),
            ("Started", both(worker["startedAt"], now)),
            ("Asked for jobs", both(worker["fetchedAt"], now)),
            ("Heard of", both(worker["seenAt"], now)),
        ]
    )
    running = [(one["jobId"], one["task"], relative(one["startedAt"], now)) for one in worker["runningJobs"]]
    if running:
        screen.heading("Runs")
        screen.table(_RUNNING, running, "")


def print_line(screen: Screen, worker: dict[str, Any]) -> None:
    """Print a worker in one line that begins with the time."""
    cells = rows_of(screen, [worker])[0]
    screen.line(f"{clock(worker['seenAt'])[:8]}  " + "  ".join(cells[:7]))


def _cpu(cpu: float | None) -> str:
    return "-" if cpu is None else f"{cpu * 100:.0f}%"


def _finished(worker: dict[str, Any]) -> str:
    if worker["finished"] is None:
        return ""
    return f"{amount(int(worker['finished']), 'attempt')}, {int(worker['failed'] or 0):,} of them failed"


def _told(wanted: dict[str, Any] | None) -> str:
    if not wanted:
        return ""
    parts = [
        f"{wanted['concurrency']} at a time" if wanted["concurrency"] else "",
        f"queues {', '.join(wanted['queues'])}" if wanted["queues"] else "",
        "quiet" if wanted["isQuiet"] else "",
        "stop" if wanted["isStopping"] else "",
    ]
    return "; ".join(part for part in parts if part)
