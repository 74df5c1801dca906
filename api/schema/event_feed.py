"""The subscription that delivers events in batches, and takes up again where a client left off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import strawberry

from api.context import Info
from api.schema.connection import Edge, Place
from api.schema.event import JobEvent
from api.schema.job_where import JobWhere
from api.schema.scalars import Cursor
from jobs.errors import InvalidOption
from jobs.feed import EventBatch, GapReason
from jobs.feed import Gap as GapRecord

strawberry.enum(GapReason)

_JOB_IDS_MAX = 100


@strawberry.type
class Gap:
    """Events were lost to this subscription. Read again what matters; events from here on are complete."""

    reason: GapReason
    """Why they are missing."""


def batch_events(root: strawberry.Parent[EventBatch]) -> list[Any]:
    """What happened, in order."""
    return [event for _, event in root.events]


def batch_edges(root: strawberry.Parent[EventBatch]) -> list[Any]:
    """What happened, in order, each with its cursor."""
    return [Place(event, cursor) for cursor, event in root.events]


@strawberry.type
class JobEventBatch:
    """What happened since the last batch."""

    event_list: list[Any] = strawberry.field(name="events", resolver=batch_events, graphql_type=list[JobEvent])
    edges: list[Any] = strawberry.field(resolver=batch_edges, graphql_type=list[Edge[JobEvent]])
    end_cursor: Cursor
    """Where this batch ends; given as `after`, a later subscription goes on from here."""
    gap: GapRecord | None = strawberry.field(graphql_type=Gap | None)
    """Set where events were lost to this subscription ahead of this batch."""


@strawberry.type
class EventSubscription:
    """Events, live."""

    @strawberry.subscription(graphql_type=JobEventBatch)
    async def job_events(
        self,
        info: Info,
        where: JobWhere | None = None,
        after: Cursor | None = None,
        job_ids: list[strawberry.ID] | None = None,
    ) -> AsyncIterator[EventBatch]:
        """What happens to jobs, in order, in batches, from now on or from a cursor on.

        The first batch comes at once. Where it has no events, all that happens comes from its `endCursor` on: read the
        state then, and nothing is missed.

        Args:
            where: Only events of jobs that the filter finds.
            after: Go on behind this cursor, the `endCursor` of the last batch that arrived.
            job_ids: Only events of these jobs, 1 to 100 of them; of all where it is left out.
        """
        if job_ids is not None and not job_ids:
            raise InvalidOption("`jobIds` is empty; leave it out to mean all jobs.", path=("jobIds",))
        if len(job_ids or ()) > _JOB_IDS_MAX:
            raise InvalidOption(f"`jobIds` may have at most {_JOB_IDS_MAX} values.", path=("jobIds",))
        context = info.context
        found = where.read(info) if where else None
        return context.client.feed.job_events(context.viewer, found, after, tuple(job_ids or ()))
