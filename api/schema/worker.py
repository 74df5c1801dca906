"""Workers: the processes that run jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection
from api.schema.job import Job
from api.schema.node import Node, node_id, parse_node_id
from api.schema.scalars import BigInt, Cursor
from jobs import job as vocabulary
from jobs.errors import NotFound
from jobs.feed import WorkerSnapshot as SnapshotRecord
from jobs.page import Page
from jobs.queries import worker as records
from jobs.queries.worker import Worker as WorkerRecord
from jobs.queries.worker import WorkerState

strawberry.enum(WorkerState)


async def running_job(root: strawberry.Parent[records.RunningJob], info: Info) -> vocabulary.Job | None:
    """The job as it is by now."""
    return await info.context.loaders.jobs.load(root.id)


@strawberry.type
class RunningJob:
    """A job that a worker runs."""

    id: strawberry.ID = strawberry.field(name="jobId")
    """Id of the job."""
    task: str
    """Name of its task."""
    started_ms: datetime = strawberry.field(name="startedAt")
    """When this attempt started, by the clock of the worker's machine."""
    job_now: vocabulary.Job | None = strawberry.field(name="job", resolver=running_job, graphql_type=Job | None)


@strawberry.type
class WorkerWish:
    """What operators told a running worker to be like. It follows within about a second."""

    concurrency: int | None = strawberry.field(resolver=lambda root: root.concurrency or None, graphql_type=int | None)
    """Jobs that it is to run at a time; null: as it was started."""
    queues: list[str] | None = strawberry.field(
        resolver=lambda root: root.queues or None, graphql_type=list[str] | None
    )
    """Names of the queues that it is to serve; null: as it was started."""
    quiet: bool = strawberry.field(name="isQuiet")
    """Whether it is to take no new jobs."""
    stop: bool = strawberry.field(name="isStopping")
    """Whether it is to stop."""


def worker_id(root: strawberry.Parent[WorkerRecord]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("Worker", root.id)


def loop_lag(root: strawberry.Parent[WorkerRecord]) -> timedelta | None:
    """How late its event loop answers; while a job blocks it, for how long it has not. Null where not known yet."""
    return None if root.loop_lag_ms is None else timedelta(milliseconds=root.loop_lag_ms)


async def blocking_job(root: strawberry.Parent[WorkerRecord], info: Info) -> vocabulary.Job | None:
    """The job that does not let its event loop answer, where it has not for two seconds and this is known."""
    return None if root.blocked_by is None else await info.context.loaders.jobs.load(root.blocked_by)


def wanted(root: strawberry.Parent[WorkerRecord]) -> Any:
    """What operators told it to be like; null where nobody told it anything."""
    return None if root.wish == records.WorkerWish() else root.wish


@strawberry.type
class Worker(Node):
    """A process that runs jobs. It says once a second how it is; what it has not said yet is null."""

    node_id: strawberry.ID = strawberry.field(name="id", resolver=worker_id)
    id: strawberry.ID = strawberry.field(name="session")
    """Its own id, as attempts and jobs name it; a worker that lost its connection comes back with another one."""
    host: str
    """The machine it runs on."""
    pid: int
    """Its process id there."""
    version: str
    """Version of QueueQL that it runs."""
    state: WorkerState
    """What it is doing."""
    queues: list[str]
    """Names of the queues that it serves now."""
    tasks: list[str]
    """Names of the tasks that it knows."""
    concurrency: int
    """Jobs that it runs at a time now."""
    active: int
    """Jobs that it has now, those that are about to start too."""
    running: list[records.RunningJob] = strawberry.field(name="runningJobs", graphql_type=list[RunningJob])
    """Jobs that it runs, at most 100, the longest running first."""
    finished: BigInt | None
    """Attempts that have ended since it started, whatever their outcome."""
    failed: BigInt | None
    """Attempts among them that failed."""
    cpu: float | None
    """Processor cores that it uses: 0.5 is half of one."""
    memory_bytes: BigInt | None
    """Memory that it has in use, in bytes."""
    loop_lag: timedelta | None = strawberry.field(resolver=loop_lag)
    is_responding: bool | None
    """Whether its event loop answers within a second; false while a job blocks it. Null where not known yet."""
    blocking_job: vocabulary.Job | None = strawberry.field(
        name="blockedBy", resolver=blocking_job, graphql_type=Job | None
    )
    fetched_ms: datetime | None = strawberry.field(name="fetchedAt")
    """When it last asked for jobs and was answered, by the clock of its machine."""
    started_ms: datetime = strawberry.field(name="startedAt")
    """When it started, by the clock of its machine."""
    seen_ms: datetime = strawberry.field(name="seenAt")
    """When it was last heard of."""
    wanted: Any = strawberry.field(resolver=wanted, graphql_type=WorkerWish | None)

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a worker."""
        return isinstance(obj, WorkerRecord)


def session_of(id: str) -> str:
    """Return the session that is meant by a worker's id, or by the session's own."""
    try:
        kind, key = parse_node_id(id)
    except NotFound:
        return id
    return key if kind == "Worker" else id


@strawberry.type
class WorkerQuery:
    """Queries of workers."""

    @strawberry.field(graphql_type=Worker | None)
    async def worker(self, info: Info, id: strawberry.ID) -> WorkerRecord | None:
        """One worker; null where it is not alive.

        Args:
            id: Its id, or the session that an attempt names.
        """
        return await info.context.client.queries.worker.get(info.context.viewer, session_of(id))

    @strawberry.field(graphql_type=Connection[Worker] | None)
    async def workers(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[WorkerRecord]:
        """All workers that are alive, the longest running first.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.worker.page(info.context.viewer, window)


@strawberry.type
class WorkerSnapshot:
    """The workers that were alive at one moment."""

    workers: list[WorkerRecord] = strawberry.field(name="nodes", graphql_type=list[Worker])
    """The longest running of them, as many as were asked for."""
    total: int = strawberry.field(name="totalCount")
    """How many there were in all."""


@strawberry.type
class WorkerSubscription:
    """Workers, live."""

    @strawberry.subscription(graphql_type=Worker | None)
    async def worker(self, info: Info, id: strawberry.ID) -> AsyncIterator[WorkerRecord | None]:
        """Follow one worker: as it is now, then at most once a second, only the latest; ends with null once it is gone.

        Args:
            id: Its id, or the session that an attempt names.
        """
        return info.context.client.feed.worker(info.context.viewer, session_of(id))

    @strawberry.subscription(graphql_type=WorkerSnapshot)
    async def workers(self, info: Info, first: int = 100) -> AsyncIterator[SnapshotRecord]:
        """Follow all workers: as they are now, then at most once a second, only the latest.

        Args:
            first: So many of the longest running, 1 to 100.
        """
        limit = page_request(first, None, None, None).limit
        return info.context.client.feed.workers(info.context.viewer, limit)
