"""Statistics: what happened to jobs within a window of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import strawberry

from api.context import Info
from api.schema.scalars import BigInt
from jobs import bottleneck as records
from jobs.histogram import Histogram
from jobs.queries.queue import Queue as QueueRecord
from jobs.queries.statistics import Asked, Part, Period, Report, Span
from jobs.rollup import Figures
from jobs.task import TaskDefinition

strawberry.enum(Span, name="StatisticsSpan")
strawberry.enum(records.BottleneckKind, name="BottleneckKind")


@dataclass(frozen=True, slots=True)
class Durations:
    """What a group of durations is told from."""

    sum_ms: int
    histogram: Histogram


def _percentile(part: float) -> object:
    def read(root: strawberry.Parent[Durations]) -> timedelta | None:
        value = root.histogram.percentile(part)
        return None if value is None else timedelta(milliseconds=value)

    return strawberry.field(resolver=read, graphql_type=timedelta | None)


def count(root: strawberry.Parent[Durations]) -> BigInt:
    """How many were measured."""
    return BigInt(root.histogram.total)


def average(root: strawberry.Parent[Durations]) -> timedelta | None:
    """Their average, which is exact; null where there is none."""
    total = root.histogram.total
    return timedelta(milliseconds=root.sum_ms / total) if total else None


@strawberry.type
class DurationStatistics:
    """How long something took. Percentiles are at most 5 % off, zero is exact; they are null where there is none."""

    count: BigInt = strawberry.field(resolver=count)
    average: timedelta | None = strawberry.field(resolver=average)
    p50: timedelta | None = _percentile(0.5)  # type: ignore[assignment]  # Strawberry makes the field
    """Half of them were this long at most; at most 5 % off."""
    p90: timedelta | None = _percentile(0.9)  # type: ignore[assignment]  # as above
    """90 % of them were this long at most; at most 5 % off."""
    p95: timedelta | None = _percentile(0.95)  # type: ignore[assignment]  # as above
    """95 % of them were this long at most; at most 5 % off."""
    p99: timedelta | None = _percentile(0.99)  # type: ignore[assignment]  # as above
    """99 % of them were this long at most; at most 5 % off."""


@dataclass(frozen=True, slots=True)
class Told:
    """Figures, and what they are about."""

    queue: str | None
    task: str | None
    from_ms: int
    until_ms: int
    figures: Figures


def _number(name: str) -> BigInt:
    def read(root: strawberry.Parent[Told]) -> BigInt:
        return BigInt(getattr(root.figures, name))

    return strawberry.field(resolver=read, graphql_type=BigInt)


def success_rate(root: strawberry.Parent[Told]) -> float | None:
    """Part of the jobs that completed, of those that completed or died: 0 to 1; null where none did."""
    ends = root.figures.completed + root.figures.dead
    return root.figures.completed / ends if ends else None


def throughput(root: strawberry.Parent[Told]) -> float:
    """Jobs that ended per second, in whatever way; while the window is not over, of the whole of it."""
    figures = root.figures
    return (figures.completed + figures.dead + figures.cancelled) / (root.until_ms - root.from_ms) * 1000


def wait(root: strawberry.Parent[Told]) -> Durations:
    """How long attempts waited: from when they could begin to their start.

    The first one of a job could begin when the job was enqueued, retried by hand, or scheduled to run, whoever was away
    then; a later one when its backoff was over, or the job was given back or put back.
    """
    return Durations(root.figures.wait_ms, root.figures.waits)


def run(root: strawberry.Parent[Told]) -> Durations:
    """How long attempts ran, whatever their outcome; those that were lost are counted as `lost` alone."""
    return Durations(root.figures.run_ms, root.figures.runs)


def cpu(root: strawberry.Parent[Told]) -> timedelta:
    """Processor time of the attempts of which it is known, in all; `Attempt.cpuTime` says what is counted."""
    return timedelta(microseconds=root.figures.cpu_us)


def cpu_per_run(root: strawberry.Parent[Told]) -> timedelta | None:
    """Processor time of an attempt, on average; null where it is known of none."""
    figures = root.figures
    return timedelta(microseconds=figures.cpu_us / figures.cpu_known) if figures.cpu_known else None


@strawberry.type
class Statistics:
    """What happened to jobs within a window of time. It is kept when the jobs are removed."""

    queue: str | None
    """The queue that it is about; null: all of them."""
    task: str | None
    """The task that it is about; null: all of them."""
    from_ms: datetime = strawberry.field(name="from")
    """When the window begins."""
    until_ms: datetime = strawberry.field(name="until")
    """When the window ends; this moment is not within it any more."""
    accepted: BigInt = _number("accepted")
    """Jobs that were enqueued, each manual retry too."""
    started: BigInt = _number("started")
    """Attempts that began."""
    completed: BigInt = _number("completed")
    """Jobs that completed."""
    failed: BigInt = _number("failed")
    """Attempts that failed, the last ones of their jobs too."""
    dead: BigInt = _number("dead")
    """Jobs that failed for good."""
    cancelled: BigInt = _number("cancelled")
    """Jobs that were cancelled."""
    lost: BigInt = _number("lost")
    """Attempts whose worker was lost."""
    snoozed: BigInt = _number("snoozed")
    """Attempts that asked to be run again later."""
    released: BigInt = _number("released")
    """Attempts that a stopping worker gave back."""
    success_rate: float | None = strawberry.field(resolver=success_rate)
    throughput: float = strawberry.field(resolver=throughput)
    wait: Durations = strawberry.field(resolver=wait, graphql_type=DurationStatistics)
    run: Durations = strawberry.field(resolver=run, graphql_type=DurationStatistics)
    cpu: timedelta = strawberry.field(resolver=cpu)
    cpu_per_run: timedelta | None = strawberry.field(resolver=cpu_per_run)


def whole(report: Report, asked: Asked) -> Told:
    """Return what a report says of everything that was asked for."""
    return Told(asked.queue, asked.task, report.window.from_ms, report.window.until_ms, report.total)


def told(report: Report, part: Part) -> Told:
    """Return what one part of a report says."""
    until_ms = part.at_ms + report.step.ms if report.step else report.window.until_ms
    return Told(part.queue, part.task, part.at_ms, until_ms, part.figures)


async def _one(info: Info, asked: Asked, window: timedelta | None) -> Told:
    period = Period(length_ms=None if window is None else round(window.total_seconds() * 1000))
    report = await info.context.client.queries.statistics.report(info.context.viewer, asked, period)
    return whole(report, asked)


async def queue_statistics(root: strawberry.Parent[QueueRecord], info: Info, window: timedelta | None = None) -> Told:
    """What happened in it lately.

    Args:
        window: For how long, up to now; an hour where it is left out.
    """
    return await _one(info, Asked(queue=root.name), window)


async def task_statistics(root: strawberry.Parent[TaskDefinition], info: Info, window: timedelta | None = None) -> Told:
    """What happened to its jobs lately.

    Args:
        window: For how long, up to now; an hour where it is left out.
    """
    return await _one(info, Asked(task=root.name), window)
