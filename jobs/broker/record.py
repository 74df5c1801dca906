"""What the broker is given and what it answers with."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jobs.job import JobSpec, LogLevel, Progress
from jobs.outcome import Outcome


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A job on its way to Redis. The counters are what history knows of a run that goes on after a loss."""

    spec: JobSpec
    run: int = 1
    attempts: int = 0
    uncharged: int = 0
    crashes: int = 0
    recoveries: int = 0
    checkpoint: str = ""
    """JSON that the next attempt begins with."""
    version: int = 0
    """The last one that history knows of this run."""
    due_ms: int = 0
    """When it is to go on, where that is not the time that its spec says."""
    cancelled: bool = False
    """It is not to run any more: Redis takes it in as CANCELLED, unless it has this run already."""


class Pushed(StrEnum):
    """What became of a push."""

    NEW = "NEW"
    KNOWN = "KNOWN"
    """Redis has, or recently had, this run of the job or a newer one."""
    LATE = "LATE"
    """The push was on its way for too long and was refused; the reconciler pushes again."""


class Cancelling(StrEnum):
    """What became of a request to cancel."""

    CANCELLED = "CANCELLED"
    REQUESTED = "REQUESTED"
    """The job runs; its worker was asked."""
    FINAL = "FINAL"
    """It had ended already."""
    UNKNOWN = "UNKNOWN"
    """Redis does not have it."""


class Reserved(msgspec.Struct, frozen=True, array_like=True):
    """A job that a lane may start."""

    id: str
    token: str
    run: int
    attempt: int
    """Number that its next attempt will have."""
    uncharged: int
    """Attempts so far that do not count against max_attempts."""
    crashes: int
    spec: JobSpec
    checkpoint: str = ""
    """JSON that an earlier attempt of this run saved."""


class Finished(msgspec.Struct, frozen=True):
    """A job that a lane gives back."""

    id: str
    token: str
    outcome: Outcome
    cpu_us: int | None = None
    """Processor time of the attempt in microseconds, where it is known."""


class Step(msgspec.Struct, frozen=True):
    """The answer to a lane's step."""

    reserved: list[Reserved]
    stale: list[str]
    """Finished jobs that were not the session's any more; what they returned has no effect."""
    wait_ms: int
    """Until there may be more to do; 0: at once."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a running job has to say."""

    id: str
    token: str
    progress: Progress | None = None
    checkpoint: str = ""
    """JSON that the next attempt is to begin with; goes along with progress."""
    logs: list[tuple[LogLevel, str, str, str, int]] = []
    """Level, message, context as JSON object or "", stack or "", and when it was written, by the worker's clock."""


class WorkerWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What operators want a running worker to be like."""

    concurrency: int = 0
    """Jobs at a time; 0: as it was started."""
    queues: tuple[str, ...] = ()
    """Queues to serve; empty: as it was started."""
    quiet: bool = False
    """Take no new jobs."""
    stop: bool = False
    """Let what runs end, and end the process."""


class Renewal(msgspec.Struct, frozen=True):
    """The answer to a renewal of the lease."""

    lost: bool
    """The session is over; nothing that its jobs do counts any more."""
    cancelled: frozenset[str]
    """Ids of running jobs that are to be cancelled."""
    wish: WorkerWish | None
    """What operators want the worker to be like, if they said so to this session."""
    is_new_epoch: bool = False
    """Redis may have come back with an older copy: the worker has to say what it still has (`Session.keep`)."""


RUNNING_MAX = 100
"""Running jobs that a worker names."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process, as it describes itself."""

    host: str
    pid: int
    version: str
    queues: list[str]
    tasks: list[str]
    concurrency: int
    started_ms: int


class WorkerState(StrEnum):
    """What a worker process is doing."""

    STARTING = "STARTING"
    """It has a lease, and has not said yet how it is."""
    RUNNING = "RUNNING"
    """It takes jobs."""
    QUIET = "QUIET"
    """It takes no new jobs."""
    STOPPING = "STOPPING"
    """It lets its jobs end, and ends."""


class RunningJob(msgspec.Struct, frozen=True, array_like=True):
    """A job that a worker runs at this moment."""

    id: str
    task: str
    started_ms: int


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker process is, as it says with each renewal of its lease. Times are by its own clock."""

    state: WorkerState = WorkerState.RUNNING
    concurrency: int
    queues: tuple[str, ...]
    active: int = 0
    """Jobs that run now."""
    jobs: tuple[RunningJob, ...] = ()
    """The longest running of them, at most RUNNING_MAX."""
    finished: int = 0
    """Attempts that have ended since its start, whatever their outcome."""
    failed: int = 0
    """Attempts among them that failed."""
    cpu: float | None = None
    """Processor cores that the process used since the last time: 0.5 is half of one."""
    memory_bytes: int | None = None
    """Resident memory of the process."""
    loop_lag_ms: int | None = None
    """How late its event loop answers; while it does not answer at all, for how long it has not."""
    blocked_by: str | None = None
    """Id of the job that does not let its event loop answer, where it has not for two seconds and this is known."""
    fetched_ms: int | None = None
    """When it last heard from Redis about jobs."""
    still_ms: int = 0
    """For how long one of its parts has stood still: what asks for jobs, sends what they say, or watches the loop."""


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process that holds a lease."""

    id: str
    info: WorkerInfo
    seen_ms: int
    active: int
    """Jobs that it holds now, those that are about to start too."""
    vitals: Vitals | None
    """None until its first renewal."""
    wish: WorkerWish
