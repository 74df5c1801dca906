"""The job: its states, the transitions between them, and the records that describe it. No I/O.

Times are integers in milliseconds since 1970 (`_ms`), taken from the clock of Redis once a job has
reached it; durations carry their unit in the name.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import msgspec


class State(StrEnum):
    """Where a job is on its way. A final state is never left again within the same run."""

    BLOCKED = "BLOCKED"
    """Waits for other jobs."""
    SCHEDULED = "SCHEDULED"
    """Waits for its time."""
    QUEUED = "QUEUED"
    """Waits for a free worker."""
    ACTIVE = "ACTIVE"
    """Runs on a worker."""
    RETRYING = "RETRYING"
    """Failed, and waits for its backoff to end."""
    COMPLETED = "COMPLETED"
    """Ran to its end."""
    CANCELLED = "CANCELLED"
    """Stopped on request."""
    DEAD = "DEAD"
    """Failed for good; the reason says why. Can be retried by hand, as a new run."""


FINAL = frozenset({State.COMPLETED, State.CANCELLED, State.DEAD})
WAITING = frozenset({State.BLOCKED, State.SCHEDULED, State.QUEUED, State.RETRYING})


class Reason(StrEnum):
    """Why a job is DEAD."""

    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    """Every attempt that it had failed."""
    NOT_RETRYABLE = "NOT_RETRYABLE"
    """The task asked for no more attempts."""
    POISON = "POISON"
    """It took its worker process down three times."""
    EXPIRED = "EXPIRED"
    """It was not started before its deadline."""
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    """The worker's version of the task does not accept the arguments."""
    UNKNOWN_TASK = "UNKNOWN_TASK"
    """The worker that serves the queue does not know the task."""
    RESULT_UNENCODABLE = "RESULT_UNENCODABLE"
    """It ran to its end, but its result cannot be stored as JSON."""


class Verb(StrEnum):
    """What can happen to a job."""

    ENQUEUE = "enqueue"
    DUE = "due"
    START = "start"
    COMPLETE = "complete"
    RETRY_LATER = "retry_later"
    SNOOZE = "snooze"
    RELEASE = "release"
    REAP = "reap"
    CANCEL = "cancel"
    KILL = "kill"
    RETRY = "retry"


TRANSITIONS: dict[Verb, tuple[frozenset[State], frozenset[State]]] = {
    Verb.ENQUEUE: (frozenset(), frozenset({State.QUEUED, State.SCHEDULED})),
    Verb.DUE: (frozenset({State.SCHEDULED, State.RETRYING}), frozenset({State.QUEUED})),
    Verb.START: (frozenset({State.QUEUED}), frozenset({State.ACTIVE})),
    Verb.COMPLETE: (frozenset({State.ACTIVE}), frozenset({State.COMPLETED})),
    Verb.RETRY_LATER: (frozenset({State.ACTIVE}), frozenset({State.RETRYING})),
    Verb.SNOOZE: (frozenset({State.ACTIVE}), frozenset({State.SCHEDULED})),
    Verb.RELEASE: (frozenset({State.ACTIVE}), frozenset({State.QUEUED})),
    Verb.REAP: (frozenset({State.ACTIVE}), frozenset({State.QUEUED, State.DEAD, State.CANCELLED})),
    Verb.CANCEL: (WAITING | {State.ACTIVE}, frozenset({State.CANCELLED})),
    Verb.KILL: (frozenset({State.ACTIVE}), frozenset({State.DEAD})),
    Verb.RETRY: (frozenset({State.DEAD, State.CANCELLED}), frozenset({State.QUEUED})),
}
"""Verb: (states it may leave, states it may lead to). The Lua scripts implement exactly this table."""


class Priority(IntEnum):
    """Order within a queue. Lower classes still get their share: 16 : 8 : 4 : 2 : 1."""

    CRITICAL = 0
    """First of all."""
    HIGH = 1
    """Ahead of most."""
    NORMAL = 2
    """Where nothing else is said."""
    LOW = 3
    """Behind most."""
    BACKGROUND = 4
    """Whenever there is time."""


class Durability(StrEnum):
    """When an enqueue counts as accepted."""

    STORE = "STORE"
    """Once the database has it; no accepted job is lost."""
    MEMORY = "MEMORY"
    """Once it is in memory; what the memory loses is lost."""


class BackoffKind(StrEnum):
    """How the delay grows from one retry to the next."""

    EXPONENTIAL = "EXPONENTIAL"
    """Multiplied by the factor each time."""
    LINEAR = "LINEAR"
    """Longer by the base each time."""
    FIXED = "FIXED"
    """The base each time."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Delay before the next attempt: `base_s * factor ** (n - 1)`, `base_s * n` or `base_s`.

    n is the number of failed attempts so far; `max_s` caps the delay, `jitter` (0 to 1) is the part
    of it that is drawn at random.
    """

    kind: BackoffKind = BackoffKind.EXPONENTIAL
    base_s: float = 1.0
    factor: float = 2.0
    max_s: float = 86_400.0
    jitter: float = 0.1


INLINE_MAX_BYTES = 16_384
"""Arguments that are larger, as JSON, do not travel with a job that the store has."""


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request to run a task, as it was accepted. It never changes; its JSON travels through Redis."""

    id: str
    task: str
    queue: str
    args: msgspec.Raw = msgspec.Raw(b"{}")
    priority: Priority = Priority.NORMAL
    created_ms: int
    scheduled_ms: int = 0
    """Not before this time; 0: at once."""
    max_attempts: int = 3
    """Runs in all, the first included."""
    backoff: Backoff = Backoff()
    timeout_s: float = 300.0
    """Longest time one attempt may take; 0: no limit."""
    durability: Durability = Durability.STORE
    owner: str = ""
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    key: str = ""
    """Deduplication key: one job that has not ended per task and key."""
    idempotency_key: str = ""
    """The caller's own key: within 24 hours the same job is returned instead of a second one."""
    retry_of: str = ""
    payload_bytes: int = 0
    """Size of the arguments as JSON where they stayed in the store: `args` are empty then."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong in an attempt."""

    type: str
    """Name of the exception's class, or a code such as `TIMEOUT` or `WORKER_LOST`."""
    message: str
    stack: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far an attempt has come, as the task last reported it."""

    done: float
    total: float = 0.0
    failed: int = 0
    """Of those done, how many could not be dealt with."""
    step: str = ""
    message: str = ""
    at_ms: int = 0
    eta_ms: int = 0
    """Estimated end, from the rate so far; 0: unknown."""

    @property
    def percentage(self) -> float:
        """0 to 100; 0 while the total is unknown."""
        return min(100.0, max(0.0, 100.0 * self.done / self.total)) if self.total > 0 else 0.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a job at one moment; what the queries return."""

    id: str
    task: str
    queue: str
    state: State
    priority: Priority
    args: Any
    payload_bytes: int = 0
    """Size of the arguments where this does not have them, because they stayed in the store."""
    run: int = 1
    version: int = 0
    attempts: int = 0
    """Attempts started in this run."""
    max_attempts: int
    crashes: int = 0
    recoveries: int = 0
    """How often the job was put back after Redis had lost it; earlier attempts may be missing then."""
    backoff: Backoff = Backoff()
    timeout_s: float = 0.0
    durability: Durability = Durability.STORE
    owner: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    key: str | None = None
    retry_of: str | None = None
    progress: Progress | None = None
    result: Any = None
    reason: Reason | None = None
    error: Failure | None = None
    worker: str | None = None
    cancel_requested: bool = False
    created_ms: int
    updated_ms: int
    scheduled_ms: int | None = None
    started_ms: int | None = None
    """Start of the last attempt."""
    finished_ms: int | None = None


class AttemptState(StrEnum):
    """How one run of a task stands or ended."""

    ACTIVE = "ACTIVE"
    """Runs."""
    COMPLETED = "COMPLETED"
    """Returned a result."""
    FAILED = "FAILED"
    """Ended with an error."""
    SNOOZED = "SNOOZED"
    """The task asked to be run again later; it does not count against the attempts."""
    RELEASED = "RELEASED"
    """Given back by a worker that was stopping; it does not count against the attempts."""
    LOST = "LOST"
    """Its worker died or lost its lease."""
    CANCELLED = "CANCELLED"
    """Stopped on request."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a task."""

    job_id: str
    run: int
    number: int
    """1 for the first attempt of the run."""
    state: AttemptState
    worker: str | None = None
    started_ms: int
    finished_ms: int | None = None
    error: Failure | None = None
    cpu_us: int | None = None
    """Processor time in microseconds, where it is known."""


class LogLevel(IntEnum):
    """Severity of a log line."""

    DEBUG = 10
    """For those who look for a fault."""
    INFO = 20
    """What happened."""
    WARNING = 30
    """Something is not as it should be; the task went on."""
    ERROR = 40
    """Something failed."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a task wrote."""

    id: int
    job_id: str
    run: int
    attempt: int
    at_ms: int
    level: LogLevel
    message: str
    context: dict[str, Any] | None = None
    stack: str | None = None
