"""From SAQ's Job to ours and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import saq.job

from jobs.broker import Reserved, keys
from jobs.job import Backoff, Durability, Failure, Job, JobSpec, State
from jobs.retry import MESSAGE_MAX, STACK_MAX, exponential, fixed, readable
from jobs.saq.status import FINAL_STATUSES, status_of

if TYPE_CHECKING:
    from jobs.context import Context
    from jobs.saq.reading import ReadingQueue

OWN = "saq"
"""Name in a job's metadata under which SAQ's own options travel; jobs without it came another way."""
OPTIONS = ("timeout", "heartbeat", "retries", "ttl", "retry_delay", "retry_backoff", "priority", "group_key")
CHANGING = ("progress", "touched", "worker_id", "meta")
"""What SAQ's `update` may change of a job."""
TOKEN = "queueql_token"  # noqa: S105  # a name, not a secret
"""Name in the meta of a copy under which the fencing token of its attempt travels through SAQ's HTTP proxy."""
_DEFAULTS = saq.job.Job("")

Dump = Callable[[Any], bytes | str]


class Record(msgspec.Struct, frozen=True):
    """Where Redis keeps what only SAQ's users look at (lua/note.lua)."""

    name: str
    """QUEUE:KEY."""
    ttl_ms: int
    """How long the job can be read after its end; 0: for ever, below: not at all."""

    @classmethod
    def of(cls, spec: JobSpec) -> Record | None:
        """Return the record of a job; None where it did not come from SAQ's enqueue."""
        options = spec.metadata.get(OWN)
        if options is None:
            return None
        return cls(f"{spec.queue}:{spec.key}", round(options.get("ttl", _DEFAULTS.ttl) * 1000))


def record_key(queue: str, key: str) -> str:
    """Key of a record."""
    return f"{keys.PREFIX}:saq:{queue}:{key}"


def kept_key(job_id: str) -> str:
    """Key of the copy of an ended job."""
    return f"{keys.PREFIX}:kept:{job_id}"


class HeldJob(saq.job.Job):
    """A job that was dequeued: it carries its fencing token until it has ended here."""

    reserved: Reserved | None = None
    confirmed = False
    """The start was confirmed."""
    swept = False
    """It did not say for too long that it is alive, and is being stopped."""

    def to_dict(self) -> dict[str, Any]:
        """Write the job for a copy of it, which speaks for this attempt only."""
        copy = super().to_dict()
        if self.reserved:
            copy["meta"] = {**self.meta, TOKEN: self.reserved.token}
        return copy


class RunningJob(HeldJob):
    """A job that our Worker runs: what a function finds as `ctx["job"]`."""

    context: Context


def meta_of(job: saq.job.Job) -> dict[Any, Any]:
    """Return the meta that users gave a job."""
    return {name: value for name, value in job.meta.items() if name != TOKEN}


def encode(dump: Dump, value: Any) -> bytes:
    """Write a value as JSON. Raises TypeError or ValueError where that cannot be done."""
    # json.dumps is SAQ's own default; it would write NaN, which is no JSON
    text = json.dumps(value, allow_nan=False) if dump is json.dumps else dump(value)
    data = text.encode() if isinstance(text, str) else text
    if dump is not json.dumps:
        try:
            msgspec.json.decode(data, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            raise TypeError(f"The queue's dump has to write JSON: {error}") from None
    return data


def spec_of(job: saq.job.Job, queue: ReadingQueue) -> JobSpec:
    """Return the job as our broker takes it, but for its id and time of creation.

    Raises TypeError or ValueError for arguments or meta that are not JSON.
    """
    options = {name: getattr(job, name) for name in OPTIONS if getattr(job, name) != getattr(_DEFAULTS, name)}
    meta = msgspec.json.decode(encode(queue.dump, meta_of(job))) if job.meta else {}
    return JobSpec(
        id="",
        task=job.function,
        queue=queue.name,
        args=msgspec.Raw(encode(queue.dump, job.kwargs or {})),
        created_ms=0,
        scheduled_ms=round(job.scheduled * 1000),
        max_attempts=max(1, job.retries),
        backoff=_backoff(job),
        timeout_s=float(job.timeout or 0),
        durability=Durability.MEMORY,
        key=job.key,
        metadata={**meta, OWN: options},
    )


def _backoff(job: saq.job.Job) -> Backoff:
    if job.retry_backoff is False:
        return fixed(job.retry_delay)
    cap = 86_400.0 if job.retry_backoff is True else float(job.retry_backoff)
    return exponential(job.retry_delay, factor=2.0, cap=cap, jitter=1.0)


def key_of(job: JobSpec | Job) -> str:
    """Return what SAQ's users know a job by; jobs that did not come from SAQ's enqueue have their id for it."""
    return job.key or job.id if OWN in job.metadata else job.id


def _fields(queue: ReadingQueue, job: JobSpec | Job, kwargs: Any) -> dict[str, Any]:
    meta = dict(job.metadata)
    options: dict[str, Any] = meta.pop(OWN, {})
    fields = {
        "function": job.task,
        "kwargs": kwargs or None,
        "queue": queue,
        "key": key_of(job),
        "timeout": job.timeout_s,
        "retries": job.max_attempts,
        "scheduled": job.scheduled_ms / 1000 if job.scheduled_ms else 0,
        "queued": job.created_ms,
        "status": saq.job.Status.QUEUED,
        "meta": meta,
    }
    return fields | options


def held_job(queue: ReadingQueue, reserved: Reserved) -> HeldJob:
    """Return a reserved job as SAQ's worker gets it."""
    job = HeldJob(**_fields(queue, reserved.spec, queue.load(bytes(reserved.spec.args))))
    job.attempts = reserved.attempt - 1 - reserved.uncharged
    job.reserved = reserved
    return job


def running_job(queue: ReadingQueue, context: Context) -> RunningJob:
    """Return the job of a context."""
    job = RunningJob(**_fields(queue, context.spec, queue.load(bytes(context.spec.args))))
    uncharged = context.attempt - context.failures
    job.reserved = Reserved(context.job_id, context.token, context.run, context.attempt, uncharged, 0, context.spec)
    job.confirmed, job.context, job.status = True, context, saq.job.Status.ACTIVE
    job.attempts, job.started = context.failures, context.started_ms
    return job


def seen_job(queue: ReadingQueue, live: Job, noted: Mapping[bytes, bytes]) -> saq.job.Job:
    """Return a job as SAQ's users see it: what the broker knows, and what was noted beside it."""
    job = saq.job.Job(**_fields(queue, live, live.args))
    job.status = status_of(live.state, live.cancel_requested)
    job.attempts = live.attempts
    job.result = live.result
    if live.state is State.ACTIVE or job.status in FINAL_STATUSES:
        job.started = live.started_ms or 0
    job.completed = live.finished_ms or 0
    if live.error is not None and live.state is not State.COMPLETED:
        job.error = live.error.stack or live.error.message
    if live.progress is not None:
        job.progress = live.progress.percentage / 100
    for name in (*CHANGING, "error"):
        text = noted.get(name.encode())
        if text is not None:
            setattr(job, name, msgspec.json.decode(text))
    if job.status is saq.job.Status.COMPLETE:
        job.progress, job.error = 1.0, None
    return job


def failure_of(error: str | None) -> Failure:
    """Read SAQ's error, a stack or a message."""
    text = (error or "").strip()
    if "\n" not in text:
        return Failure(type="Error", message=readable(text, MESSAGE_MAX))
    kind, _, message = text.rsplit("\n", 1)[-1].partition(": ")
    return Failure(type=kind[:128], message=readable(message, MESSAGE_MAX), stack=readable(text, STACK_MAX))
