"""Finding jobs: by id, in filtered lists, and one of them live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.job import Job, JobConnection, JobPage, JobSnapshot
from api.schema.job_where import JobWhere
from api.schema.scalars import Cursor
from jobs import job as vocabulary
from jobs.feed import ListedPage
from jobs.page import Direction
from jobs.where import JobWhere as Where

strawberry.enum(Direction, name="OrderDirection")

EVERY_JOB = Where()


@strawberry.enum
class JobOrderField(StrEnum):
    """What a list of jobs is ordered by."""

    CREATED_AT = "CREATED_AT"
    """When they were accepted."""


@strawberry.input
class JobOrder:
    """Order of a list of jobs."""

    field: JobOrderField = JobOrderField.CREATED_AT
    """What it goes by."""
    direction: Direction = Direction.DESC
    """Which end comes first."""


@strawberry.type
class JobQuery:
    """Queries of jobs."""

    @strawberry.field(graphql_type=Job | None)
    async def job(self, info: Info, id: strawberry.ID) -> vocabulary.Job | None:
        """One job, by its id; null where it does not exist.

        Args:
            id: The id that was given when it was accepted.
        """
        return await info.context.loaders.jobs.load(id)

    @strawberry.field(graphql_type=JobConnection | None)
    async def jobs(
        self,
        info: Info,
        where: JobWhere | None = None,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
        order_by: JobOrder | None = None,
    ) -> JobPage:
        """All jobs that the filter finds, the newest first unless another order is asked for.

        Args:
            where: Which jobs; all where it is left out.
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
            order_by: The order of the list.
        """
        found = where.read(info) if where else EVERY_JOB
        window = page_request(first, after, last, before)
        direction = order_by.direction if order_by else Direction.DESC
        page = await info.context.client.queries.job.page(info.context.viewer, found, window, direction)
        return JobPage(page, found)


@strawberry.type
class JobSubscription:
    """Jobs, live."""

    @strawberry.subscription(graphql_type=Job)
    async def job(self, info: Info, id: strawberry.ID) -> AsyncIterator[vocabulary.Job]:
        """Follow one job: as it is now, then each time it changes, only the latest; ends with its final state.

        Args:
            id: The id that was given when it was accepted.
        """
        return info.context.client.feed.job(info.context.viewer, id)

    @strawberry.subscription(graphql_type=JobSnapshot)
    async def jobs(
        self,
        info: Info,
        where: JobWhere | None = None,
        first: int | None = None,
        order_by: JobOrder | None = None,
    ) -> AsyncIterator[ListedPage]:
        """Follow the beginning of a list: as it is now, then when it changes, at most once a second, only the latest.

        Args:
            where: Which jobs; all where it is left out.
            first: So many from the start, 1 to 100; 20 where it is left out.
            order_by: The order of the list.
        """
        context = info.context
        found = where.read(info) if where else EVERY_JOB
        limit = page_request(first, None, None, None).limit
        direction = order_by.direction if order_by else Direction.DESC
        return context.client.feed.jobs(context.viewer, found, limit, direction)
