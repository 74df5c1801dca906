"""The whole system: as it is, and in snapshots as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection
from api.schema.figures import (
    CollectorFault,
    DatabaseFigures,
    ErrorFigures,
    NotificationFigures,
    QueuesFigures,
    RecorderFigures,
    RedisFigures,
    WorkerFigures,
    faults,
)
from api.schema.job_where import TimeRange
from api.schema.node import Node, node_id, parse_node_id
from api.schema.process import ProcessesFigures
from api.schema.scalars import Cursor, milliseconds
from jobs import snapshot as records
from jobs.errors import InvalidOption, NotFound
from jobs.metric import Difference, Metric, SeriesPoint, SeriesRequest
from jobs.page import Page
from jobs.queries.health import Comparison
from jobs.snapshot import Snapshot

strawberry.enum(Metric, name="HealthMetric")

KIND = "HealthSnapshot"


def took(root: strawberry.Parent[Snapshot]) -> timedelta:
    """How long it took to collect them."""
    return timedelta(milliseconds=root.took_ms)


@strawberry.interface
class HealthFigures:
    """The figures of the whole system at one moment. None is estimated: what could not be found out is null."""

    at_ms: datetime = strawberry.field(name="at")
    """When they were collected."""
    took: timedelta = strawberry.field(resolver=took)
    queues: records.QueueSection | None = strawberry.field(graphql_type=QueuesFigures | None)
    """Jobs, by queue."""
    workers: records.WorkerFigures | None = strawberry.field(graphql_type=WorkerFigures | None)
    """Workers, and what was done in the last hour."""
    database: records.DatabaseFigures | None = strawberry.field(graphql_type=DatabaseFigures | None)
    """The database."""
    redis: records.RedisFigures | None = strawberry.field(graphql_type=RedisFigures | None)
    """Redis."""
    recorder: records.RecorderFigures | None = strawberry.field(graphql_type=RecorderFigures | None)
    """How far history is behind."""
    processes: records.ProcessSection | None = strawberry.field(graphql_type=ProcessesFigures | None)
    """All processes."""
    notifications: records.NotificationFigures | None = strawberry.field(graphql_type=NotificationFigures | None)
    """Notifications; null where there are none."""
    errors: records.ErrorFigures | None = strawberry.field(graphql_type=ErrorFigures | None)
    """What went wrong for good in the last hour."""
    fault_list: list[CollectorFault] = strawberry.field(name="faults", resolver=faults)


@strawberry.type
class SystemHealth(HealthFigures):
    """The figures of the whole system as they are."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether figures that a resolver returned are those of now."""
        return isinstance(obj, Snapshot) and obj.id is None


def snapshot_id(root: strawberry.Parent[Snapshot]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id(KIND, str(root.id))


@strawberry.type
class HealthSnapshot(HealthFigures, Node):
    """The figures of the whole system as they were, when they were written down: at the start and every few minutes."""

    id: strawberry.ID = strawberry.field(resolver=snapshot_id)

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a snapshot."""
        return isinstance(obj, Snapshot) and obj.id is not None


@strawberry.type
class HealthDifference:
    """A figure in two snapshots; null where one does not know it."""

    metric: Metric
    """Which figure."""
    queue: str | None
    """The queue that it is of; null: it is of the whole system."""
    before: float | None
    """In the first snapshot."""
    after: float | None
    """In the second one."""
    change: float | None
    """By how much it has grown; negative where it has shrunk."""


@strawberry.type
class HealthComparison:
    """Two snapshots, figure by figure."""

    before: Snapshot = strawberry.field(graphql_type=HealthSnapshot)
    """The first one."""
    after: Snapshot = strawberry.field(graphql_type=HealthSnapshot)
    """The second one."""
    differences: list[Difference] = strawberry.field(graphql_type=list[HealthDifference])
    """All figures that at least one of them knows, those of single queues last."""


@strawberry.type
class HealthPoint:
    """A figure in the snapshots of one step of time."""

    at_ms: datetime = strawberry.field(name="at")
    """When the step begins."""
    count: int
    """Snapshots of this step that know the figure."""
    average: float
    """Its average."""
    least: float
    """Its least value."""
    most: float
    """Its greatest value."""


def _key(text: str, name: str) -> str:
    try:
        kind, key = parse_node_id(text)
    except NotFound:
        kind, key = "", ""
    if kind != KIND:
        raise InvalidOption(f"`{name}` is not the id of a snapshot.", path=(name,))
    return key


@strawberry.type
class SnapshotQuery:
    """Queries of the whole system."""

    @strawberry.field(graphql_type=SystemHealth | None)
    async def system_health(self, info: Info) -> Snapshot:
        """The figures of the whole system as they are, a second old at most."""
        return await info.context.client.queries.health.now(info.context.viewer)

    @strawberry.field(graphql_type=HealthSnapshot | None)
    async def snapshot(self, info: Info, at: datetime | None = None) -> Snapshot | None:
        """The whole system as it was: the newest snapshot of a moment or before it; null where there is none.

        Args:
            at: The moment; now where it is left out.
        """
        at_ms = milliseconds(at) if at else None
        return await info.context.client.queries.health.at(info.context.viewer, at_ms)

    @strawberry.field(graphql_type=Connection[HealthSnapshot] | None)
    async def snapshots(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[Snapshot]:
        """All snapshots, the newest first.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.health.page(info.context.viewer, window)

    @strawberry.field(graphql_type=HealthComparison | None)
    async def snapshot_compare(self, info: Info, before: strawberry.ID, after: strawberry.ID) -> Comparison | None:
        """Two snapshots, figure by figure; null where one of them does not exist any more.

        Args:
            before: Id of the first one.
            after: Id of the second one.
        """
        keys = _key(before, "before"), _key(after, "after")
        return await info.context.client.queries.health.compare(info.context.viewer, *keys)

    @strawberry.field(graphql_type=list[HealthPoint] | None)
    async def snapshot_series(
        self, info: Info, metric: Metric, range: TimeRange, step: timedelta, queue: str | None = None
    ) -> list[SeriesPoint]:
        """A figure over time, from the snapshots; steps in which it is not known are left out.

        Args:
            metric: Which figure.
            range: From when on, which must be given, until when; now where that is left out.
            step: Length of a step, a second or more; the range may have 1,000 of them.
            queue: Of this queue alone, where the figure is one of queues.
        """
        if range.from_ is None:
            raise InvalidOption("`range.from` must be given.", path=("range", "from"))
        asked = SeriesRequest(
            metric=metric,
            since_ms=milliseconds(range.from_),
            until_ms=milliseconds(range.until) if range.until else info.context.client.clock(),
            step_ms=round(step.total_seconds() * 1000),
            queue=queue,
        )
        return await info.context.client.queries.health.series(info.context.viewer, asked)


@strawberry.type
class SnapshotSubscription:
    """The whole system, live."""

    @strawberry.subscription(graphql_type=SystemHealth)
    async def system_health(self, info: Info) -> AsyncIterator[Snapshot]:
        """Follow the figures of the whole system: as they are now, then every two seconds, only the latest."""
        return info.context.client.feed.health(info.context.viewer)

    @strawberry.subscription(graphql_type=HealthSnapshot)
    async def snapshot_taken(self, info: Info) -> AsyncIterator[Snapshot]:
        """Follow the snapshots: the newest one, then each as it is taken."""
        return info.context.client.feed.snapshots(info.context.viewer)
