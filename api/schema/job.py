"""Jobs: the type, and pages of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import strawberry

from api.context import Info
from api.paging import page_of, page_request
from api.schema.attempt import Attempt, Backoff, Failure, LogLine, Progress
from api.schema.connection import Connection, Count, CountPrecision
from api.schema.node import Node
from api.schema.scalars import JSON, BigInt, Cursor
from jobs import job as vocabulary
from jobs import page as paging
from jobs.job import FINAL, Durability, LogLevel, Priority, Reason, State
from jobs.viewer import Permission, Viewer, allows
from jobs.where import JobWhere

strawberry.enum(State, name="JobState")
strawberry.enum(Reason, name="DeadReason")
strawberry.enum(Priority)
strawberry.enum(Durability)


async def job_attempts(
    root: strawberry.Parent[vocabulary.Job],
    info: Info,
    first: int | None = None,
    after: Cursor | None = None,
    last: int | None = None,
    before: Cursor | None = None,
) -> paging.Page[vocabulary.Attempt]:
    """Every attempt that was started, in all runs, oldest first.

    Args:
        first: So many from the start, 1 to 100; 20 where neither is given.
        after: Only what comes behind this cursor.
        last: So many from the end, 1 to 100.
        before: Only what comes ahead of this cursor.
    """
    window = page_request(first, after, last, before)
    attempts = await info.context.loaders.attempts.load(root.id)
    return page_of(attempts, lambda attempt: (attempt.run, attempt.number), window)


async def job_logs(
    root: strawberry.Parent[vocabulary.Job],
    info: Info,
    first: int | None = None,
    after: Cursor | None = None,
    last: int | None = None,
    before: Cursor | None = None,
    level_min: LogLevel = LogLevel.DEBUG,
) -> paging.Page[vocabulary.LogLine]:
    """What the task logged, oldest first.

    Args:
        first: So many from the start, 1 to 100; 20 where neither is given.
        after: Only what comes behind this cursor.
        last: So many from the end, 1 to 100.
        before: Only what comes ahead of this cursor.
        level_min: Only lines of this level and above.
    """
    window = page_request(first, after, last, before)
    return await info.context.client.queries.job.logs(info.context.viewer, root.id, window, level_min)


def viewer_can_retry(root: strawberry.Parent[vocabulary.Job], info: Info) -> bool:
    """Whether the viewer may retry the job as it stands now."""
    return root.state in {State.DEAD, State.CANCELLED} and _operates(info.context.viewer)


def viewer_can_cancel(root: strawberry.Parent[vocabulary.Job], info: Info) -> bool:
    """Whether the viewer may cancel the job as it stands now."""
    return root.state not in FINAL and not root.cancel_requested and _operates(info.context.viewer)


def _operates(viewer: Viewer) -> bool:
    return allows(viewer, Permission.OPERATE)


@strawberry.type
class Job(Node):
    """A request to run a task, everything that is known of it at this moment."""

    id: strawberry.ID
    """The id that was given when it was accepted; it sorts by time."""
    task: str
    """Name of the task that it runs."""
    queue: str
    """Name of the queue that it waits in."""
    state: State
    """Where it is on its way."""
    priority: Priority
    """Its order within the queue."""
    args: JSON
    """The arguments that the task is called with."""
    result: JSON | None
    """What the task returned."""
    progress: vocabulary.Progress | None = strawberry.field(graphql_type=Progress | None)
    """How far it has come, if its task reports that."""
    attempts_page: paging.Page[vocabulary.Attempt] = strawberry.field(
        name="attempts", resolver=job_attempts, graphql_type=Connection[Attempt] | None
    )
    attempts: int = strawberry.field(name="attemptCount")
    """Attempts started in this run."""
    max_attempts: int
    """Attempts that one run may have, the first included."""
    backoff: vocabulary.Backoff = strawberry.field(graphql_type=Backoff)
    """Delay before the next attempt after a failure."""
    timeout: timedelta | None = strawberry.field(
        resolver=lambda root: root.timeout_s or None, graphql_type=timedelta | None
    )
    """Longest time that one attempt may take; null: no limit."""
    logs: paging.Page[vocabulary.LogLine] = strawberry.field(resolver=job_logs, graphql_type=Connection[LogLine] | None)
    error: vocabulary.Failure | None = strawberry.field(graphql_type=Failure | None)
    """Why the last attempt failed."""
    reason: Reason | None
    """Why it is DEAD."""
    run: int
    """1, and one more with each retry by hand."""
    version: BigInt
    """Rises with each change of state within the run; of two views of the same run the one with the higher is newer."""
    crashes: int
    """How often its worker was lost while it ran."""
    recoveries: int
    """How often it had to be put back into its queue from the history; attempts from before may be missing."""
    durability: Durability
    """When its acceptance counted."""
    owner: str | None
    """Whom it belongs to."""
    tags: list[str]
    """Labels that lists can be filtered by."""
    metadata: JSON
    """What the caller wanted to travel with it, as a JSON object."""
    key: str | None
    """Deduplication key: of one task and key, one job at most has not ended."""
    retry_of: strawberry.ID | None
    """Id of the job that it was made from, where it repeats one with changes."""
    worker: str | None
    """The worker that runs it or ran it last, by its `session`."""
    cancel_requested: bool
    """Whether somebody asked for this run of it to be cancelled."""
    created_ms: datetime = strawberry.field(name="createdAt")
    """When it was accepted."""
    updated_ms: datetime = strawberry.field(name="updatedAt")
    """When it last changed."""
    scheduled_ms: datetime | None = strawberry.field(name="scheduledAt")
    """Not before this time."""
    started_ms: datetime | None = strawberry.field(name="startedAt")
    """When its last attempt began."""
    finished_ms: datetime | None = strawberry.field(name="finishedAt")
    """When it reached its final state."""
    viewer_can_retry: bool = strawberry.field(resolver=viewer_can_retry)
    viewer_can_cancel: bool = strawberry.field(resolver=viewer_can_cancel)

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a job."""
        return isinstance(obj, vocabulary.Job)


@dataclass(frozen=True)
class JobPage:
    """A page of jobs that can also be counted; what a JobConnection reads."""

    page: paging.Page[vocabulary.Job]
    where: JobWhere

    @property
    def items(self) -> list[vocabulary.Job]:
        """The jobs of the page."""
        return self.page.items

    @property
    def cursors(self) -> list[str]:
        """Their cursors."""
        return self.page.cursors

    @property
    def has_next(self) -> bool:
        """Whether the list goes on."""
        return self.page.has_next

    @property
    def has_previous(self) -> bool:
        """Whether something comes before."""
        return self.page.has_previous

    @property
    def backward(self) -> bool:
        """Whether it was searched from its end."""
        return self.page.backward

    @property
    def reached(self) -> str | None:
        """Up to where was searched, if not to the end of the page."""
        return self.page.reached


async def total_count(root: strawberry.Parent[JobPage], info: Info) -> Count:
    """How many jobs the filter finds, in all pages together."""
    counted = await info.context.client.queries.job.count(info.context.viewer, root.where)
    return Count(value=counted.value, precision=CountPrecision.EXACT if counted.whole else CountPrecision.AT_LEAST)


@strawberry.type
class JobConnection(Connection[Job]):
    """A page of a list of jobs."""

    total_count: Count | None = strawberry.field(resolver=total_count, graphql_type=Count | None)


@strawberry.type
class JobSnapshot:
    """The beginning of a list of jobs at one moment."""

    items: list[vocabulary.Job] = strawberry.field(name="nodes", graphql_type=list[Job])
    """Its first jobs, as many as were asked for."""
    has_next: bool = strawberry.field(name="hasMore")
    """Whether the list goes on behind them."""
    total_count: Count | None = strawberry.field(resolver=total_count, graphql_type=Count | None)
