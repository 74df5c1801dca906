"""Jobs as they are handed to Redis: lean, and in calls of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from jobs.broker.record import Push
from jobs.job import INLINE_MAX_BYTES, Durability, JobSpec

CHUNK = 500
CHUNK_BYTES = 262_144
"""A call takes so many jobs, and so much text of them: Redis does nothing else meanwhile, and gets so much fuller."""

_json = msgspec.json.Encoder()


def lean(spec: JobSpec) -> JobSpec:
    """Return the job as it travels through Redis: without large arguments, where the store has them."""
    size = len(bytes(spec.args))
    if size <= INLINE_MAX_BYTES or spec.durability is not Durability.STORE:
        return spec
    return msgspec.structs.replace(spec, args=msgspec.Raw(b"{}"), payload_bytes=size)


def chunks(jobs: Sequence[Push]) -> Iterator[tuple[list[tuple[Any, ...]], int]]:
    """Yield jobs as the script takes them, with the size of their text."""
    chunk, size = list[tuple[Any, ...]](), 0
    for job in jobs:
        text = _json.encode(lean(job.spec)).decode()
        if chunk and (len(chunk) == CHUNK or size + len(text) > CHUNK_BYTES):
            yield chunk, size
            chunk, size = [], 0
        chunk.append(_pushed(job, text))
        size += len(text) + len(job.checkpoint)
    yield chunk, size


def _pushed(push: Push, text: str) -> tuple[Any, ...]:
    spec = push.spec
    due_ms = push.due_ms or spec.scheduled_ms
    return (
        spec.id, push.run, spec.queue, spec.task, int(spec.priority), due_ms, text,
        spec.durability is Durability.STORE, push.attempts, push.uncharged, push.crashes, push.recoveries,
        push.checkpoint, push.version, push.cancelled,
    )  # fmt: skip
