"""Events: what happened to jobs, one type per event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import strawberry

from api.context import Info
from api.schema.attempt import Failure, Progress
from api.schema.job import Job
from api.schema.scalars import JSON, BigInt
from jobs import event as vocabulary
from jobs import job as jobs
from jobs.job import LogLevel, Priority, Reason, State


async def event_job(root: strawberry.Parent[vocabulary.Event], info: Info) -> jobs.Job | None:
    """The job as it is by now, which may be further on than this event."""
    return await info.context.loaders.jobs.load(root.job)


def progress_of(root: strawberry.Parent[vocabulary.Progressed]) -> jobs.Progress:
    """What the task reported."""
    return msgspec.json.decode(root.progress, type=jobs.Progress)


def failure_of(root: Any) -> jobs.Failure | None:
    """What went wrong."""
    return msgspec.json.decode(root.error, type=jobs.Failure) if root.error else None


def context_of(root: strawberry.Parent[vocabulary.Logged]) -> JSON | None:
    """What the task added, as a JSON object."""
    return JSON(msgspec.json.decode(root.context)) if root.context else None


def result_of(root: strawberry.Parent[vocabulary.Completed]) -> JSON | None:
    """What the task returned."""
    return JSON(msgspec.json.decode(root.result)) if root.result else None


@strawberry.interface
class JobEvent:
    """Something that happened to a job."""

    job: strawberry.ID = strawberry.field(name="jobId")
    """Id of the job."""
    job_now: jobs.Job | None = strawberry.field(name="job", resolver=event_job, graphql_type=Job | None)
    run: int
    """The run of the job that it belongs to."""
    version: BigInt
    """The job's version after it; progress and log lines do not raise it."""
    at_ms: datetime = strawberry.field(name="at")
    """When it happened."""

    @classmethod
    def resolve_type(cls, obj: vocabulary.Event, _info: object, _type: object) -> str:
        """Tell which of the types of events this is."""
        return TYPES[type(obj)].__name__

    @classmethod
    def is_type_of(cls, obj: vocabulary.Event, _info: object) -> bool:
        """Tell whether an event is of this type."""
        return TYPES.get(type(obj)) is cls


@strawberry.type
class JobEnqueued(JobEvent):
    """The job is in its queue, or waits for its time."""

    state: State
    """QUEUED or SCHEDULED."""
    queue: str
    """Name of the queue."""
    task: str
    """Name of the task."""
    priority: Priority
    """Its order within the queue."""
    waits_until: datetime | None = strawberry.field(
        resolver=lambda root: root.due_ms or None, graphql_type=datetime | None
    )
    """When its time comes, if it waits for one."""
    recovered: bool
    """Whether it had to be put back into its queue from the history; attempts from before may be missing."""


@strawberry.type
class JobDue(JobEvent):
    """Its time has come; it waits for a free worker."""


@strawberry.type
class JobStarted(JobEvent):
    """A worker began an attempt."""

    attempt: int
    """Number of the attempt."""
    worker: str
    """The worker, by its `session`."""


@strawberry.type
class JobProgressed(JobEvent):
    """The task reported how far it has come."""

    attempt: int
    """Number of the attempt."""
    progress: jobs.Progress = strawberry.field(resolver=progress_of, graphql_type=Progress)


@strawberry.type
class JobLogged(JobEvent):
    """The task wrote a log line."""

    attempt: int
    """Number of the attempt."""
    level: LogLevel
    """How severe it is."""
    message: str
    """What was written."""
    context: JSON | None = strawberry.field(resolver=context_of)
    stack: str | None = strawberry.field(resolver=lambda root: root.stack or None, graphql_type=str | None)
    """The traceback of an exception, where one was logged."""


@strawberry.type
class JobCompleted(JobEvent):
    """The job ran to its end."""

    attempt: int
    """Number of the attempt."""
    result: JSON | None = strawberry.field(resolver=result_of)


@strawberry.type
class JobRetrying(JobEvent):
    """The attempt failed; the next one follows after the backoff."""

    attempt: int
    """Number of the attempt that failed."""
    due_ms: datetime = strawberry.field(name="dueAt")
    """When the next attempt may begin."""
    error: jobs.Failure | None = strawberry.field(resolver=failure_of, graphql_type=Failure | None)


@strawberry.type
class JobSnoozed(JobEvent):
    """The task asked to be run again later; the attempt is not counted."""

    attempt: int
    """Number of the attempt."""
    due_ms: datetime = strawberry.field(name="dueAt")
    """When it may begin again."""


@strawberry.type
class JobReleased(JobEvent):
    """A worker that stops gave the job back; it waits for another one."""

    attempt: int
    """Number of the attempt, which is not counted."""


@strawberry.type
class JobReaped(JobEvent):
    """The worker was lost; the job waits for another one."""

    attempt: int
    """Number of the attempt that was lost."""
    crashes: int
    """How often the job's worker was lost by now."""
    worker: str
    """The worker that was lost, by its `session`."""


@strawberry.type
class JobDied(JobEvent):
    """The job failed for good."""

    attempt: int
    """Number of the attempt that ended with it; 0 where none was running."""
    reason: Reason
    """Why it is DEAD."""
    error: jobs.Failure | None = strawberry.field(resolver=failure_of, graphql_type=Failure | None)


@strawberry.type
class JobCancelRequested(JobEvent):
    """Somebody asked for the running job to be cancelled."""


@strawberry.type
class JobCancelled(JobEvent):
    """The job was cancelled."""

    attempt: int
    """Number of the attempt that ended with it; 0 where none was running."""


@strawberry.type
class JobQuarantined(JobEvent):
    """The broker's record of the job could not be read; the job is put back into its queue from the history."""

    damage: str = strawberry.field(resolver=lambda root: root.reason, graphql_type=str)
    """What was wrong with the record."""
    record: str
    """The record as it was found, as JSON."""


TYPES: dict[type[vocabulary.Event], type[JobEvent]] = {
    vocabulary.Enqueued: JobEnqueued,
    vocabulary.Due: JobDue,
    vocabulary.Started: JobStarted,
    vocabulary.Progressed: JobProgressed,
    vocabulary.Logged: JobLogged,
    vocabulary.Completed: JobCompleted,
    vocabulary.RetryingLater: JobRetrying,
    vocabulary.Snoozed: JobSnoozed,
    vocabulary.Released: JobReleased,
    vocabulary.Reaped: JobReaped,
    vocabulary.Died: JobDied,
    vocabulary.CancelRequested: JobCancelRequested,
    vocabulary.Cancelled: JobCancelled,
    vocabulary.Quarantined: JobQuarantined,
}
"""What the broker emits: how the schema shows it."""
