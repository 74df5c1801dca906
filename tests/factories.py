"""The one place where tests make things."""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.broker import Vitals, WorkerInfo
from jobs.clock import new_id, now_ms
from jobs.context import Context, Surroundings
from jobs.job import JobSpec
from jobs.settings import Settings


def make_spec(task: str = "noop", *, args: Any = None, **fields: Any) -> JobSpec:
    """A job as it would be accepted now."""
    values: dict[str, Any] = {"id": new_id(), "queue": "default", "created_ms": now_ms()} | fields
    return JobSpec(task=task, args=msgspec.Raw(msgspec.json.encode(args or {})), **values)


def make_context(**fields: Any) -> tuple[Context, list[Context]]:
    """The context of a job's last attempt, and a list that it enters whenever it has something to say."""
    told: list[Context] = []
    spec = make_spec(args={"a": 1}, max_attempts=3, tags=("x",), metadata={"m": 1}, owner="me")
    values: dict[str, Any] = {
        "spec": spec,
        "run": 1,
        "attempt": 4,
        "failures": 3,
        "around": Surroundings(told.append),
    } | fields
    return Context(**values), told


def make_worker_info(*queues: str) -> WorkerInfo:
    return WorkerInfo(
        host="test",
        pid=1,
        version="0",
        queues=list(queues or ("default",)),
        tasks=["noop"],
        concurrency=10,
        started_ms=0,
    )


def make_vitals() -> Vitals:
    return Vitals(concurrency=10, queues=("default",))


def make_settings(**fields: Any) -> Settings:
    return Settings(**fields)
