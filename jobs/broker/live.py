"""Reading the hash of a job, as the scripts keep it (lua/base.lua), into a Job."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from jobs.job import FINAL, Failure, Job, JobSpec, Priority, Progress, Reason, State

_spec = msgspec.json.Decoder(JobSpec)
_failure = msgspec.json.Decoder(Failure)
_progress = msgspec.json.Decoder(Progress)


def read_job(row: dict[bytes, bytes]) -> Job | None:
    """Read a job's hash; None where there is none. Raises ValueError, KeyError for one that is damaged."""
    if b"b" not in row:
        return None
    spec = _spec.decode(row[b"b"])
    state = State(row[b"s"].decode())
    updated_ms = int(row[b"u"])
    return Job(
        id=spec.id,
        task=spec.task,
        queue=spec.queue,
        state=state,
        priority=Priority(int(row[b"p"])),
        args=orjson.loads(bytes(spec.args)),
        payload_bytes=spec.payload_bytes,
        run=int(row[b"r"]),
        version=int(row[b"v"]),
        attempts=int(row[b"a"]),
        max_attempts=spec.max_attempts,
        crashes=int(row[b"c"]),
        recoveries=int(row.get(b"rc", 0)),
        backoff=spec.backoff,
        timeout_s=spec.timeout_s,
        durability=spec.durability,
        owner=spec.owner or None,
        tags=spec.tags,
        metadata=spec.metadata,
        key=spec.key or None,
        retry_of=spec.retry_of or None,
        progress=_decoded(_progress, row.get(b"pr")),
        result=_result(row.get(b"z")),
        reason=Reason(row[b"y"].decode()) if row.get(b"y") else None,
        error=_decoded(_failure, row.get(b"e")),
        worker=row.get(b"w", b"").decode() or None,
        cancel_requested=row.get(b"x") == b"1",
        created_ms=spec.created_ms,
        updated_ms=updated_ms,
        scheduled_ms=int(row[b"d"]) or None,
        started_ms=int(row[b"st"]) if b"st" in row else None,
        finished_ms=updated_ms if state in FINAL else None,
    )


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes | None) -> Any:
    """Read what is shown beside the job; without it the rest can be shown still."""
    try:
        return decoder.decode(text) if text else None
    except ValueError:
        return None


def _result(text: bytes | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except ValueError:
        return None
