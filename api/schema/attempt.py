"""Parts of a job: its progress, its attempts and their failures, its log lines."""

from __future__ import annotations

from datetime import datetime, timedelta

import strawberry

from api.schema.node import Node, node_id
from api.schema.scalars import JSON
from jobs import job as vocabulary
from jobs.job import AttemptState, BackoffKind, LogLevel

strawberry.enum(AttemptState)
strawberry.enum(BackoffKind)
strawberry.enum(LogLevel)


@strawberry.type
class Progress:
    """How far an attempt has come, as the task last reported it."""

    percentage: float
    """0 to 100; 0 while the total is unknown."""
    done: float
    """Steps, items or bytes that are done; the task decides the unit."""
    total: float | None = strawberry.field(resolver=lambda root: root.total or None, graphql_type=float | None)
    """All that there is to do, if the task knows."""
    failed: int
    """How many of those done could not be dealt with; the job's log says why."""
    step: str | None = strawberry.field(resolver=lambda root: root.step or None, graphql_type=str | None)
    """Name of the step that the task is at."""
    message: str | None = strawberry.field(resolver=lambda root: root.message or None, graphql_type=str | None)
    """What the task says about it."""
    updated_at: datetime | None = strawberry.field(
        resolver=lambda root: root.at_ms or None, graphql_type=datetime | None
    )
    """When the task reported it."""
    estimated_end_at: datetime | None = strawberry.field(
        resolver=lambda root: root.eta_ms or None, graphql_type=datetime | None
    )
    """When it will be done if it goes on at this rate."""


@strawberry.type
class Failure:
    """What went wrong in an attempt."""

    type: str
    """Name of the exception's class, or a code such as `TIMEOUT` or `WORKER_LOST`."""
    message: str
    """What the exception says."""
    stack: str | None = strawberry.field(resolver=lambda root: root.stack or None, graphql_type=str | None)
    """Where it was raised: the traceback."""


@strawberry.type
class Backoff:
    """Delay before the next attempt; n is the number of failed attempts so far."""

    kind: BackoffKind
    """How the delay grows: base * factor ^ (n - 1), base * n, or base."""
    base_s: timedelta = strawberry.field(name="base")
    """Delay before the second attempt."""
    factor: float
    """What an exponential delay is multiplied by each time."""
    max_s: timedelta = strawberry.field(name="max")
    """Longest delay."""
    jitter: float
    """Part of the delay that is drawn at random, 0 to 1."""


def attempt_duration(root: strawberry.Parent[vocabulary.Attempt]) -> timedelta | None:
    """How long the attempt took; null while it runs."""
    if root.finished_ms is None:
        return None
    return timedelta(milliseconds=max(0, root.finished_ms - root.started_ms))


def attempt_cpu_time(root: strawberry.Parent[vocabulary.Attempt]) -> timedelta | None:
    """How much processor time the attempt took; null where that is not known."""
    return None if root.cpu_us is None else timedelta(microseconds=root.cpu_us)


def attempt_id(root: strawberry.Parent[vocabulary.Attempt]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("Attempt", f"{root.job_id}:{root.run}:{root.number}")


def log_line_id(root: strawberry.Parent[vocabulary.LogLine]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("LogLine", f"{root.job_id}:{root.id}")


@strawberry.type
class Attempt(Node):
    """One run of a task for a job."""

    node_id: strawberry.ID = strawberry.field(name="id", resolver=attempt_id)
    run: int
    """The job's run that it belongs to."""
    number: int
    """1 for the first attempt of its run."""
    state: AttemptState
    """How it stands or ended."""
    worker: str | None
    """The worker that ran it, by its `session`."""
    started_ms: datetime = strawberry.field(name="startedAt")
    """When the worker began."""
    finished_ms: datetime | None = strawberry.field(name="finishedAt")
    """When it ended."""
    duration: timedelta | None = strawberry.field(resolver=attempt_duration)
    """How long it took; null while it runs."""
    cpu_time: timedelta | None = strawberry.field(resolver=attempt_cpu_time)
    """How much processor time it took; null where that is not known, as while it runs or where its worker was lost.

    Of an `async def` task these are the steps of its own coroutine, without the asyncio tasks, threads and subprocesses
    that it starts; of a `def` task it is its thread, without others and subprocesses; of one with
    `isolation="process"` it is its process with all threads, without subprocesses.
    """
    error: vocabulary.Failure | None = strawberry.field(graphql_type=Failure | None)
    """Why it failed."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is an attempt."""
        return isinstance(obj, vocabulary.Attempt)


@strawberry.type
class LogLine(Node):
    """One line that a task wrote while it ran."""

    node_id: strawberry.ID = strawberry.field(name="id", resolver=log_line_id)
    run: int
    """The job's run that it belongs to."""
    attempt: int
    """Number of the attempt that wrote it."""
    at_ms: datetime = strawberry.field(name="at")
    """When it was written."""
    level: LogLevel
    """How severe it is."""
    message: str
    """What was written."""
    context: JSON | None
    """What the task added, as a JSON object."""
    stack: str | None
    """The traceback of an exception, where one was logged."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a line of a log."""
        return isinstance(obj, vocabulary.LogLine)
