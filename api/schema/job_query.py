"""Finding jobs: by id, in filtered lists, and one of them live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.job import Job, JobConnection, JobPage
from api.schema.scalars import Cursor, milliseconds
from jobs import job as vocabulary
from jobs import page as paging
from jobs.errors import InvalidOption
from jobs.job import State
from jobs.page import Direction

strawberry.enum(Direction, name="OrderDirection")

_VALUES_MAX = 100


@strawberry.input
class JobWhere:
    """Which jobs are meant. Every part that is given must hold; within a part any of the values may.

    A list has 1 to 100 values; to mean all, leave it out.
    """

    states: list[State] | None = None
    """In one of these states."""
    tasks: list[str] | None = None
    """Of one of these tasks, by name."""
    queues: list[str] | None = None
    """In one of these queues, by name."""
    owners: list[str] | None = None
    """Belonging to one of these owners."""
    tags: list[str] | None = None
    """With one of these tags."""
    created_from: datetime | None = None
    """Accepted at this time or later."""
    created_until: datetime | None = None
    """Accepted before this time."""

    def read(self) -> paging.JobWhere:
        """Return the filter as the doors know it. Raises InvalidOption where a list does not make sense."""
        for name in ("states", "tasks", "queues", "owners", "tags"):
            values = getattr(self, name)
            if values is not None and not values:
                raise InvalidOption(
                    f"`{name}` is empty, so no job would fit; leave it out to mean all.", path=("where", name)
                )
            if len(values or ()) > _VALUES_MAX:
                raise InvalidOption(f"`{name}` may have at most {_VALUES_MAX} values.", path=("where", name))
            if any("\0" in value for value in values or ()):
                raise InvalidOption(f"`{name}` has a NUL character, which no job can have.", path=("where", name))
        return paging.JobWhere(
            states=tuple(self.states or ()),
            tasks=tuple(self.tasks or ()),
            queues=tuple(self.queues or ()),
            owners=tuple(self.owners or ()),
            tags=tuple(self.tags or ()),
            created_from_ms=milliseconds(self.created_from) if self.created_from else None,
            created_until_ms=milliseconds(self.created_until) if self.created_until else None,
        )


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
        found = (where or JobWhere()).read()
        window = page_request(first, after, last, before)
        direction = order_by.direction if order_by else Direction.DESC
        page = await info.context.client.queries.job.page(info.context.viewer, found, window, direction)
        return JobPage(page, found)


@strawberry.type
class JobSubscription:
    """One job, live."""

    @strawberry.subscription(graphql_type=Job)
    async def job(self, info: Info, id: strawberry.ID) -> AsyncIterator[vocabulary.Job]:
        """Follow one job: as it is now, then each time it changes, only the latest; ends with its final state.

        Args:
            id: The id that was given when it was accepted.
        """
        return info.context.client.feed.job(info.context.viewer, id)
