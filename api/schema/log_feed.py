"""The subscription that follows what a job logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import strawberry

from api.context import Info
from api.schema.attempt import LogLine
from api.schema.connection import Edge, Place
from api.schema.scalars import Cursor
from jobs.feed import LogBatch
from jobs.job import LogLevel


def log_edges(root: strawberry.Parent[LogBatch]) -> list[Any]:
    """What was logged, oldest first, each line with its cursor."""
    return [Place(line, cursor) for line, cursor in zip(root.lines, root.cursors, strict=True)]


def log_end(root: strawberry.Parent[LogBatch]) -> Cursor:
    """Where this batch ends; given as `after`, a later subscription or page of lines goes on from here."""
    return Cursor(root.cursors[-1])


@strawberry.type
class JobLogBatch:
    """Lines that a job logged since the last batch, 1 to 100 of them."""

    lines: list[Any] = strawberry.field(name="nodes", graphql_type=list[LogLine])
    """What was logged, oldest first."""
    edges: list[Any] = strawberry.field(resolver=log_edges, graphql_type=list[Edge[LogLine]])
    end_cursor: Cursor = strawberry.field(resolver=log_end)


@strawberry.type
class LogSubscription:
    """Logs, live."""

    @strawberry.subscription(graphql_type=JobLogBatch)
    async def job_logs(
        self, info: Info, id: strawberry.ID, after: Cursor | None = None, level_min: LogLevel = LogLevel.DEBUG
    ) -> AsyncIterator[LogBatch]:
        """Follow what a job logs: the lines that are there, then those that follow; ends when the job has ended.

        Args:
            id: Id of the job.
            after: Only what comes behind this cursor of the list of its lines, or of the last batch that arrived.
            level_min: Only lines of this level and above.
        """
        return info.context.client.feed.job_log(info.context.viewer, id, level_min, after)
