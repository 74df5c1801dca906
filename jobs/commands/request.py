"""What callers ask for and what they get back, without any I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.job import Backoff, Job, JobSpec, Priority, State

ENQUEUE_MANY_MAX = 1_000
"""Most jobs that one call may enqueue."""


class EnqueueRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to run a task. What is left out comes from the task's own definition."""

    task: str
    """Name of a task that a worker has published."""
    args: Any = {}
    """Arguments by name: a decoded JSON object. What is left out and has a default is stored with it."""
    queue: str | None = None
    priority: Priority | None = None
    scheduled_ms: int | None = None
    """Not before this time; at most one minute in the past and ten years ahead."""
    delay_s: float | None = None
    """Not before so long from now, at most ten years; not together with `scheduled_ms`."""
    max_attempts: int | None = None
    """Runs in all, the first included: 1 to 100."""
    backoff: Backoff | None = None
    timeout_s: float | None = None
    """Longest time of one attempt: 0 (no limit) to 7 days."""
    key: str | None = None
    """Deduplication key: while a job of this task and key has not ended, it is returned instead of a second one."""
    idempotency_key: str | None = None
    """The caller's own key: within 24 hours the same job is returned instead of a second one."""
    owner: str | None = None
    """Whom the job belongs to; free text of at most 128 characters."""
    tags: tuple[str, ...] = ()
    """At most 32 names."""
    metadata: dict[str, Any] | None = None
    """A JSON object of at most 16 KiB that travels with the job; the task sees it."""


class Enqueued(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted request. `duplicate`: a key led to `job`, which existed already; nothing was enqueued."""

    job: Job
    duplicate: bool = False


def accepted_job(spec: JobSpec, *, args: Any, run: int = 1, at_ms: int) -> Job:
    """Return the job as it stands right after it was accepted: nothing of this run has happened yet."""
    return Job(
        id=spec.id,
        task=spec.task,
        queue=spec.queue,
        state=State.SCHEDULED if spec.scheduled_ms > at_ms else State.QUEUED,
        priority=spec.priority,
        args=args,
        run=run,
        max_attempts=spec.max_attempts,
        backoff=spec.backoff,
        timeout_s=spec.timeout_s,
        durability=spec.durability,
        owner=spec.owner or None,
        tags=spec.tags,
        metadata=spec.metadata,
        key=spec.key or None,
        retry_of=spec.retry_of or None,
        created_ms=spec.created_ms,
        updated_ms=at_ms,
        scheduled_ms=spec.scheduled_ms or None,
    )
