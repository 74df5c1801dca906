"""Queues and how many jobs are in them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection
from api.schema.node import Node, node_id
from api.schema.scalars import Cursor
from api.schema.statistics import Statistics, Told, queue_statistics
from jobs.job import State
from jobs.page import Page
from jobs.queries.queue import Queue as QueueRecord


@strawberry.type
class QueueCounts:
    """Jobs in a queue that have not ended, by state."""

    blocked: int = strawberry.field(resolver=lambda root: root.get(State.BLOCKED, 0), graphql_type=int)
    """Jobs that wait for other jobs."""
    scheduled: int = strawberry.field(resolver=lambda root: root.get(State.SCHEDULED, 0), graphql_type=int)
    """Jobs that wait for their time."""
    queued: int = strawberry.field(resolver=lambda root: root.get(State.QUEUED, 0), graphql_type=int)
    """Jobs that wait for a free worker."""
    active: int = strawberry.field(resolver=lambda root: root.get(State.ACTIVE, 0), graphql_type=int)
    """Jobs that run."""
    retrying: int = strawberry.field(resolver=lambda root: root.get(State.RETRYING, 0), graphql_type=int)
    """Jobs that wait for their backoff to end."""


def queue_id(root: strawberry.Parent[QueueRecord]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("Queue", root.name)


@strawberry.type
class Queue(Node):
    """A line that jobs wait in until a worker is free."""

    id: strawberry.ID = strawberry.field(resolver=queue_id)
    name: str
    """Its name."""
    counts: QueueCounts
    """How many of its jobs have not ended."""
    statistics: Told = strawberry.field(resolver=queue_statistics, graphql_type=Statistics)

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a queue."""
        return isinstance(obj, QueueRecord)


@strawberry.type
class QueueQuery:
    """Queries of queues."""

    @strawberry.field(graphql_type=Queue | None)
    async def queue(self, info: Info, name: str) -> QueueRecord | None:
        """One queue, by its name; null where it never had a job and no worker serves it.

        Args:
            name: Its name.
        """
        return await info.context.client.queries.queue.get(info.context.viewer, name)

    @strawberry.field(graphql_type=Connection[Queue] | None)
    async def queues(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[QueueRecord]:
        """All queues that ever had a job or that a worker serves, by name.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.queue.page(info.context.viewer, window)


@strawberry.type
class QueueSubscription:
    """Queues, live."""

    @strawberry.subscription(graphql_type=Queue)
    async def queue(self, info: Info, name: str) -> AsyncIterator[QueueRecord]:
        """Follow one queue: as it is now, then when its counts change, at most four times a second, only the latest.

        Args:
            name: Its name.
        """
        return info.context.client.feed.queue(info.context.viewer, name)
