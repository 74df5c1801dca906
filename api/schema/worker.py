"""Workers: the processes that run jobs."""

from __future__ import annotations

from datetime import datetime

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection
from api.schema.node import Node, node_id, parse_node_id
from api.schema.scalars import Cursor
from jobs.errors import NotFound
from jobs.page import Page
from jobs.queries.worker import Worker as WorkerRecord


def worker_id(root: strawberry.Parent[WorkerRecord]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("Worker", root.id)


@strawberry.type
class Worker(Node):
    """A process that runs jobs."""

    node_id: strawberry.ID = strawberry.field(name="id", resolver=worker_id)
    id: strawberry.ID = strawberry.field(name="session")
    """Its own id, as attempts and jobs name it; a worker that lost its connection comes back with another one."""
    host: str
    """The machine it runs on."""
    pid: int
    """Its process id there."""
    version: str
    """Version of QueueQL that it runs."""
    queues: list[str]
    """Names of the queues that it serves."""
    tasks: list[str]
    """Names of the tasks that it knows."""
    concurrency: int
    """Jobs that it runs at a time."""
    active: int
    """Jobs that it has now."""
    started_ms: datetime = strawberry.field(name="startedAt")
    """When it started."""
    seen_ms: datetime = strawberry.field(name="seenAt")
    """When it was last heard of."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a worker."""
        return isinstance(obj, WorkerRecord)


@strawberry.type
class WorkerQuery:
    """Queries of workers."""

    @strawberry.field(graphql_type=Worker | None)
    async def worker(self, info: Info, id: strawberry.ID) -> WorkerRecord | None:
        """One worker; null where it is not alive.

        Args:
            id: Its id, or the session that an attempt names.
        """
        try:
            kind, key = parse_node_id(id)
        except NotFound:
            kind, key = "", ""
        session = key if kind == "Worker" else id
        return await info.context.client.queries.worker.get(info.context.viewer, session)

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
