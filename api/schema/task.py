"""Tasks: the functions that workers have published."""

from __future__ import annotations

from datetime import timedelta

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.attempt import Backoff
from api.schema.connection import Connection
from api.schema.node import Node, node_id
from api.schema.scalars import JSON, Cursor
from api.schema.statistics import Statistics, Told, task_statistics
from jobs import job as vocabulary
from jobs.job import Durability, Priority
from jobs.page import Page
from jobs.task import TaskDefinition


def task_id(root: strawberry.Parent[TaskDefinition]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id("Task", root.name)


def task_mutation(root: strawberry.Parent[TaskDefinition], info: Info) -> str | None:
    """Name of the mutation that enqueues it; null where the name would not be clear, then jobEnqueue does it."""
    return info.context.mutations.get(root.name)


@strawberry.type
class Task(Node):
    """A function that workers can run. Its options hold for jobs that do not bring their own."""

    id: strawberry.ID = strawberry.field(resolver=task_id)
    name: str
    """The name that jobs call it by."""
    description: str
    """What its author says about it."""
    mutation: str | None = strawberry.field(resolver=task_mutation)
    queue: str
    """The queue that its jobs wait in."""
    args_schema: JSON
    """JSON Schema of its arguments."""
    result_schema: JSON | None
    """JSON Schema of its result, if its author declared one."""
    max_attempts: int
    """Attempts that one run of a job may have, the first included."""
    statistics: Told = strawberry.field(resolver=task_statistics, graphql_type=Statistics)
    backoff: vocabulary.Backoff = strawberry.field(graphql_type=Backoff)
    """Delay before the next attempt after a failure."""
    timeout: timedelta | None = strawberry.field(
        resolver=lambda root: root.timeout_s or None, graphql_type=timedelta | None
    )
    """Longest time that one attempt may take; null: no limit."""
    priority: Priority
    """Order of its jobs within the queue."""
    durability: Durability
    """When the acceptance of a job counts."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a task."""
        return isinstance(obj, TaskDefinition)


@strawberry.type
class TaskQuery:
    """Queries of tasks."""

    @strawberry.field(graphql_type=Task | None)
    async def task(self, info: Info, name: str) -> TaskDefinition | None:
        """One task, by its name; null where no worker has published it.

        Args:
            name: The name that jobs call it by.
        """
        return await info.context.client.queries.task.get(info.context.viewer, name)

    @strawberry.field(graphql_type=Connection[Task] | None)
    async def tasks(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[TaskDefinition]:
        """All tasks that workers have published, by name.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.task.page(info.context.viewer, window)
