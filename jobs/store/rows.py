"""Between rows and the vocabulary. The names and types of the job table's columns stand here and nowhere else."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from jobs.job import (
    Attempt,
    AttemptState,
    Backoff,
    Durability,
    Failure,
    Job,
    JobSpec,
    LogLevel,
    LogLine,
    Priority,
    Progress,
    Reason,
    State,
)
from jobs.store.bulk import Column
from jobs.store.database import Row

BIG = "bigint"
INT = "integer"

SPEC = (
    Column("id"),
    Column("task"),
    Column("queue"),
    Column("priority", "smallint"),
    Column("args", "jsonb"),
    Column("max_attempts", INT),
    Column("backoff"),
    Column("timeout_s", "double precision"),
    Column("durability"),
    Column("owner"),
    Column("tags"),
    Column("metadata", "jsonb"),
    Column("key"),
    Column("idempotency_key"),
    Column("retry_of"),
    Column("created_ms", BIG),
    Column("scheduled_ms", BIG),
)
"""What acceptance writes, once."""

FOLDED = (
    Column("run", INT),
    Column("version", BIG),
    Column("state"),
    Column("attempts", INT),
    Column("attempt_base", INT),
    Column("uncharged", INT),
    Column("crashes", INT),
    Column("recoveries", INT),
    Column("progress"),
    Column("progress_ms", BIG),
    Column("checkpoint"),
    Column("result"),
    Column("reason"),
    Column("error"),
    Column("worker"),
    Column("cancel_requested", "boolean"),
    Column("updated_ms", BIG),
    Column("due_ms", BIG),
    Column("started_ms", BIG),
    Column("finished_ms", BIG),
)
"""What the recorder folds events into."""

SPEC_NAMES = ", ".join(column.name for column in SPEC)
FOLDED_NAMES = ", ".join(column.name for column in FOLDED)
JOB_NAMES = f"{SPEC_NAMES}, {FOLDED_NAMES}, cancel_run"
OPEN = "state IN ('BLOCKED', 'SCHEDULED', 'QUEUED', 'ACTIVE', 'RETRYING')"
"""Condition that a job has not ended, as the partial indexes say it."""

_encode = msgspec.json.Encoder().encode
_spec = msgspec.json.Decoder(JobSpec).decode
backoff_of = msgspec.json.Decoder(Backoff).decode
tags_of = msgspec.json.Decoder(tuple[str, ...]).decode
failure_of = msgspec.json.Decoder(Failure, strict=False).decode
progress_of = msgspec.json.Decoder(Progress, strict=False).decode


def args_of(spec: JobSpec) -> Any:
    """Decode the arguments of a job."""
    return orjson.loads(bytes(spec.args))


def same(stored: JobSpec, given: JobSpec) -> bool:
    """Tell whether two jobs have the same content; their arguments may be written differently."""
    empty = msgspec.Raw(b"{}")
    if msgspec.structs.replace(stored, args=empty) != msgspec.structs.replace(given, args=empty):
        return False
    return bool(args_of(stored) == args_of(given))


def storable(spec: JobSpec) -> JobSpec:
    """Return the job with U+0000, which PostgreSQL cannot hold, replaced by U+FFFD wherever it stands."""
    text = _encode(spec)
    return spec if b"\\u0000" not in text else _spec(orjson.dumps(_clean(orjson.loads(text))))


def clean(text: str) -> str:
    """Return the text with U+0000, which PostgreSQL cannot hold, replaced by U+FFFD."""
    return text.replace("\x00", "�") if "\x00" in text else text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _clean(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_clean(part) for part in value]
    return value


def spec_values(spec: JobSpec) -> tuple[Any, ...]:
    """Values of the SPEC columns."""
    return (
        spec.id,
        spec.task,
        spec.queue,
        int(spec.priority),
        bytes(spec.args).decode(),
        spec.max_attempts,
        _encode(spec.backoff).decode(),
        spec.timeout_s,
        str(spec.durability),
        spec.owner or None,
        _encode(spec.tags).decode(),
        _encode(spec.metadata).decode(),
        spec.key or None,
        spec.idempotency_key or None,
        spec.retry_of or None,
        spec.created_ms,
        spec.scheduled_ms or None,
    )


def spec_of(row: Row) -> JobSpec:
    """Read a row with the SPEC columns."""
    return JobSpec(
        id=row["id"],
        task=row["task"],
        queue=row["queue"],
        args=msgspec.Raw(row["args"].encode()),
        priority=Priority(row["priority"]),
        created_ms=row["created_ms"],
        scheduled_ms=row["scheduled_ms"] or 0,
        max_attempts=row["max_attempts"],
        backoff=backoff_of(row["backoff"]),
        timeout_s=row["timeout_s"],
        durability=Durability(row["durability"]),
        owner=row["owner"] or "",
        tags=tags_of(row["tags"]),
        metadata=orjson.loads(row["metadata"]),
        key=row["key"] or "",
        idempotency_key=row["idempotency_key"] or "",
        retry_of=row["retry_of"] or "",
    )


def job_of(row: Row) -> Job:
    """Read a row with the SPEC and FOLDED columns."""
    return Job(
        id=row["id"],
        task=row["task"],
        queue=row["queue"],
        state=State(row["state"]),
        priority=Priority(row["priority"]),
        args=orjson.loads(row["args"]),
        run=row["run"],
        version=row["version"],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        crashes=row["crashes"],
        recoveries=row["recoveries"],
        backoff=backoff_of(row["backoff"]),
        timeout_s=row["timeout_s"],
        durability=Durability(row["durability"]),
        owner=row["owner"],
        tags=tags_of(row["tags"]),
        metadata=orjson.loads(row["metadata"]),
        key=row["key"],
        retry_of=row["retry_of"],
        progress=progress_of(row["progress"]) if row["progress"] else None,
        result=orjson.loads(row["result"]) if row["result"] else None,
        reason=Reason(row["reason"]) if row["reason"] else None,
        error=failure_of(row["error"]) if row["error"] else None,
        worker=row["worker"],
        cancel_requested=bool(row["cancel_requested"]) or row["cancel_run"] == row["run"],
        created_ms=row["created_ms"],
        updated_ms=row["updated_ms"],
        scheduled_ms=row["due_ms"] or row["scheduled_ms"],
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
    )


def attempt_of(row: Row) -> Attempt:
    """Read a row of the attempt table."""
    return Attempt(
        job_id=row["job_id"],
        run=row["run"],
        number=row["number"],
        state=AttemptState(row["state"]),
        worker=row["worker"],
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        error=failure_of(row["error"]) if row["error"] else None,
        cpu_us=row["cpu_us"],
    )


def log_line_of(row: Row) -> LogLine:
    """Read a row of the log_line table."""
    return LogLine(
        id=row["id"],
        job_id=row["job_id"],
        run=row["run"],
        attempt=row["attempt"],
        at_ms=row["at_ms"],
        level=LogLevel(row["level"]),
        message=row["message"],
        context=orjson.loads(row["context"]) if row["context"] else None,
        stack=row["stack"],
    )
