"""Asking for statistics: of a window, as a series, and of a queue at a past moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

import strawberry

from api.context import Info
from api.schema.job_where import TimeRange
from api.schema.queue import QueueCounts
from api.schema.scalars import milliseconds
from api.schema.statistics import Statistics, Told, told, whole
from jobs import bottleneck as records
from jobs.job import State
from jobs.queries.statistics import Asked, Period, QueueMoment, Report, Span


@strawberry.enum
class StatisticsGroup(StrEnum):
    """What statistics are told apart by."""

    QUEUE = "QUEUE"
    """Each queue by itself."""
    TASK = "TASK"
    """Each task by itself."""
    QUEUE_AND_TASK = "QUEUE_AND_TASK"
    """Each task of each queue by itself."""


@strawberry.type
class Bottleneck:
    """A task that is worth a look."""

    kind: records.BottleneckKind
    """Why."""
    task: str
    """Its name."""
    reason: str
    """The figures that say so, in a sentence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a report was asked for, and what it says."""

    asked: Asked
    report: Report


def total(root: strawberry.Parent[Answer]) -> Told:
    """What happened in all, also in groups that are left out."""
    return whole(root.report, root.asked)


def groups(root: strawberry.Parent[Answer]) -> list[Told]:
    """What happened in each queue or task, by name, as `groupBy` asks for; those without anything are left out."""
    if not (root.asked.by_queue or root.asked.by_task):
        return []
    return [told(root.report, part) for part in root.report.parts]


async def bottlenecks(root: strawberry.Parent[Answer], info: Info) -> list[records.Bottleneck]:
    """The slowest, the most failing and the most changed tasks: three of each at most, the worst first.

    They are those of the queue, or the task, that was asked for. Change is against the window of the same length
    before.
    """
    context = info.context
    return await context.client.queries.statistics.bottlenecks(context.viewer, root.report, root.asked)


async def oldest_wait(root: strawberry.Parent[Answer], info: Info) -> timedelta | None:
    """For how long the job has waited by now that could have started first; null where none waits."""
    context = info.context
    wait_ms = await context.client.queries.statistics.oldest_wait_ms(context.viewer, root.asked.queue)
    return None if wait_ms is None else timedelta(milliseconds=wait_ms)


@strawberry.type
class StatisticsReport:
    """What happened within a window of time.

    Its ends are moved out to whole minutes. Of times long ago only hours are kept, and then days: `precision` says so.
    """

    from_ms: datetime = strawberry.field(
        name="from", resolver=lambda root: root.report.window.from_ms, graphql_type=datetime
    )
    """When the window begins."""
    until_ms: datetime = strawberry.field(
        name="until", resolver=lambda root: root.report.window.until_ms, graphql_type=datetime
    )
    """When the window ends; this moment is not within it any more."""
    precision: Span = strawberry.field(resolver=lambda root: root.report.window.precision, graphql_type=Span)
    """What its ends were moved out to."""
    total: Told = strawberry.field(resolver=total, graphql_type=Statistics)
    groups: list[Told] = strawberry.field(resolver=groups, graphql_type=list[Statistics])
    is_complete: bool = strawberry.field(resolver=lambda root: root.report.is_complete, graphql_type=bool)
    """Whether `groups` has all of them; the first 1,000 by name are told apart."""
    bottlenecks: list[records.Bottleneck] = strawberry.field(resolver=bottlenecks, graphql_type=list[Bottleneck])
    oldest_wait: timedelta | None = strawberry.field(resolver=oldest_wait)


@dataclass(frozen=True, slots=True)
class Line:
    """One group of a series."""

    queue: str | None
    task: str | None
    points: list[Told]


@strawberry.type
class StatisticsLine:
    """What happened in one queue or task, step by step."""

    queue: str | None
    """The queue that it is about; null: all of them."""
    task: str | None
    """The task that it is about; null: all of them."""
    points: list[Told] = strawberry.field(graphql_type=list[Statistics])
    """Its steps, the first one first; those in which nothing happened are left out."""


def lines(root: strawberry.Parent[Report]) -> list[Line]:
    """One for each queue or task, by name, as `groupBy` asks for; one in all where it does not."""
    parts = sorted(root.parts, key=lambda part: (part.queue or "", part.task or "", part.at_ms))
    return [
        Line(queue, task, [told(root, part) for part in each])
        for (queue, task), each in groupby(parts, key=lambda part: (part.queue, part.task))
    ]


@strawberry.type
class StatisticsSeries:
    """What happened within a window of time, step by step. Its ends are moved out to whole steps."""

    from_ms: datetime = strawberry.field(name="from", resolver=lambda root: root.window.from_ms, graphql_type=datetime)
    """When its first step begins."""
    until_ms: datetime = strawberry.field(
        name="until", resolver=lambda root: root.window.until_ms, graphql_type=datetime
    )
    """When its last step ends."""
    step: Span
    """Length of its steps; longer than asked for where no finer ones are kept."""
    lines: list[Line] = strawberry.field(resolver=lines, graphql_type=list[StatisticsLine])
    is_complete: bool
    """Whether `lines` has all of them; there are as many as have 10,000 steps, and 1,000 at most: the first by name."""


@strawberry.type
class QueueAt:
    """A queue as it was."""

    at_ms: datetime = strawberry.field(name="at")
    """The moment that this is about: the last one up to what was asked for of which figures are kept."""
    precision: Span
    """How far apart such moments are then."""
    counts: dict[State, int] = strawberry.field(graphql_type=QueueCounts)
    """How many of its jobs had not ended."""


def _asked(queue: str | None, task: str | None, group_by: StatisticsGroup | None) -> Asked:
    return Asked(
        queue=queue,
        task=task,
        by_queue=group_by in (StatisticsGroup.QUEUE, StatisticsGroup.QUEUE_AND_TASK),
        by_task=group_by in (StatisticsGroup.TASK, StatisticsGroup.QUEUE_AND_TASK),
    )


async def _report(
    info: Info, asked: Asked, window: timedelta | None, range: TimeRange | None, step: Span | None = None
) -> Report:
    period = Period(
        from_ms=milliseconds(range.from_) if range and range.from_ else None,
        until_ms=milliseconds(range.until) if range and range.until else None,
        length_ms=None if window is None else round(window.total_seconds() * 1000),
    )
    return await info.context.client.queries.statistics.report(info.context.viewer, asked, period, step)


@strawberry.type
class StatisticsQuery:
    """Queries of statistics."""

    @strawberry.field(graphql_type=StatisticsReport | None)
    async def statistics(
        self,
        info: Info,
        window: timedelta | None = None,
        range: TimeRange | None = None,
        queue: str | None = None,
        task: str | None = None,
        group_by: StatisticsGroup | None = None,
    ) -> Answer:
        """What happened within a window of time, however many jobs there are, and whether they are still kept.

        Args:
            window: For how long, up to now or to the end of `range`; an hour where neither is given.
            range: From when on, until when.
            queue: Of this queue alone.
            task: Of this task alone.
            group_by: What `groups` are to be; none where it is left out.
        """
        asked = _asked(queue, task, group_by)
        return Answer(asked, await _report(info, asked, window, range))

    @strawberry.field(graphql_type=StatisticsSeries | None)
    async def statistics_series(
        self,
        info: Info,
        step: Span,
        window: timedelta | None = None,
        range: TimeRange | None = None,
        queue: str | None = None,
        task: str | None = None,
        group_by: StatisticsGroup | None = None,
    ) -> Report:
        """What happened within a window of time, step by step: 1,500 steps at most.

        Args:
            step: Length of a step.
            window: For how long, up to now or to the end of `range`; an hour where neither is given.
            range: From when on, until when.
            queue: Of this queue alone.
            task: Of this task alone.
            group_by: What is to have a line of its own; there is one line where it is left out.
        """
        return await _report(info, _asked(queue, task, group_by), window, range, step)

    @strawberry.field(graphql_type=QueueAt | None)
    async def queue_at(self, info: Info, name: str, at: datetime) -> QueueMoment | None:
        """How many jobs a queue had at a past moment; null where it never had one, and before statistics began.

        Args:
            name: Its name.
            at: The moment.
        """
        return await info.context.client.queries.statistics.queue_at(info.context.viewer, name, milliseconds(at))
