"""How jobs are printed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from api.client.screen import Column, Screen
from api.client.text import (
    both,
    count,
    data,
    failure_text,
    length,
    local,
    number,
    progress_text,
    relative,
    safe,
    state_text,
)

_JOBS = (
    Column("ID"), Column("STATE"), Column("TASK", folds=True), Column("QUEUE", rank=2), Column("ACCEPTED", rank=1),
    Column("AT", rank=4), Column("ATTEMPTS", rank=3, right=True), Column("ERROR", rank=5, folds=True),
)  # fmt: skip
_ATTEMPTS = (
    Column("RUN", right=True), Column("ATTEMPT", right=True), Column("STATE"), Column("STARTED", rank=1),
    Column("TOOK", right=True), Column("ERROR", folds=True), Column("WORKER", rank=2),
)  # fmt: skip
_RESCUED = (Column("ID"), Column("REASON"), Column("STATE"), Column("TASK", folds=True, rank=1))


def print_jobs(screen: Screen, jobs: list[dict[str, Any]], total: dict[str, Any], now: datetime) -> None:
    """Print a table of jobs, and how many more there are."""
    rows = [
        (
            job["id"],
            state_text(job),
            job["task"],
            job["queue"],
            relative(job["createdAt"], now),
            local(job["createdAt"]),
            f"{job['attemptCount']}/{job['maxAttempts']}",
            failure_text(job["error"]),
        )
        for job in jobs
    ]
    screen.table(_JOBS, rows, "No jobs.")
    if jobs and len(jobs) < total["value"]:
        text = f"{len(jobs):,} of {count(total)}; more with --limit."
        if screen.is_terminal:
            screen.line((text, "dim"))
        else:
            screen.say(text)


def print_job(screen: Screen, job: dict[str, Any]) -> None:
    """Print all that is known of a job."""
    now = screen.now()
    screen.line((job["id"], "bold"))
    screen.facts(
        [
            ("State", state_text(job) + (f" ({job['reason']})" if job["reason"] else "")),
            ("Task", job["task"]),
            ("Queue", job["queue"]),
            ("Priority", job["priority"]),
            ("Progress", progress_text(job["progress"])),
            ("Attempts", _attempts_text(job)),
            ("Accepted", both(job["createdAt"], now)),
            ("Scheduled", both(job["scheduledAt"], now)),
            ("Started", both(job["startedAt"], now)),
            ("Finished", both(job["finishedAt"], now)),
            ("Worker", job["worker"] or ""),
            ("Owner", job["owner"] or ""),
            ("Key", job["key"] or ""),
            ("Tags", ", ".join(job["tags"])),
            ("Timeout", length(job["timeout"])),
            ("Backoff", backoff_text(job["backoff"])),
            ("Durability", job["durability"]),
            ("Retry of", job["retryOf"] or ""),
            ("Recoveries", str(job["recoveries"] or "")),
            ("Metadata", _pretty(job["metadata"]) if job["metadata"] else ""),
            ("Arguments", _pretty(job["args"])),
            ("Result", "" if job["result"] is None else _pretty(job["result"])),
            ("Error", failure_text(job["error"])),
        ]
    )
    _print_attempts(screen, job["attempts"], now)
    if job["error"] and job["error"]["stack"]:
        screen.heading("Traceback")
        screen.line(safe(job["error"]["stack"]).rstrip())
    lines = job["logs"]["nodes"]
    if lines:
        more = job["logs"]["pageInfo"]["hasPreviousPage"]
        screen.heading(f"Log (the last {len(lines)} lines; all: queueql job logs {job['id']})" if more else "Log")
        for line in lines:
            screen.log(line)


def _print_attempts(screen: Screen, attempts: dict[str, Any], now: datetime) -> None:
    rows = [
        (
            str(one["run"]),
            str(one["number"]),
            one["state"],
            relative(one["startedAt"], now),
            length(one["duration"]),
            failure_text(one["error"]),
            one["worker"] or "-",
        )
        for one in attempts["nodes"]
    ]
    if rows:
        screen.heading("Attempts (the last 100)" if attempts["pageInfo"]["hasPreviousPage"] else "Attempts")
        screen.table(_ATTEMPTS, rows, "")


def print_rescued(screen: Screen, payload: dict[str, Any]) -> None:
    """Print which jobs were stuck."""
    rows = [
        (
            one["jobId"],
            one["reason"],
            one["job"]["state"] if one["job"] else "-",
            one["job"]["task"] if one["job"] else "-",
        )
        for one in payload["rescued"]
    ]
    screen.table(_RESCUED, rows, "No job was stuck.")
    if len(rows) < payload["totalCount"]:
        screen.say(f"{payload['totalCount']:,} jobs were rescued; these are the first.")
    if not payload["isComplete"]:
        screen.say("There was no time to look at everything; what is left is found within minutes.")


def backoff_text(backoff: dict[str, Any]) -> str:
    """Return the delay before a retry in one line."""
    base = length(backoff["base"])
    match backoff["kind"]:
        case "FIXED":
            return base
        case "LINEAR":
            return f"{base} more each time, at most {length(backoff['max'])}"
        case _:
            return f"{base} x {number(backoff['factor'])} each time, at most {length(backoff['max'])}"


def _attempts_text(job: dict[str, Any]) -> str:
    text = f"{job['attemptCount']} of {job['maxAttempts']}"
    if job["run"] > 1:
        text += f" in run {job['run']}"
    if job["crashes"]:
        text += f", {job['crashes']} lost with their worker"
    return text


def _pretty(value: object) -> str:
    """Return a JSON value, over several lines where it is long."""
    line = data(value)
    return line if len(line) <= 60 else safe(json.dumps(value, ensure_ascii=False, indent=2))
