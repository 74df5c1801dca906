"""The vocabulary of snapshots: every number has a metric, and every metric a number."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

import msgspec

from jobs import snapshot as vocabulary
from jobs.metric import Difference, Metric, compare, measure
from jobs.snapshot import JobFigures, QueueFigures, QueueSection, Snapshot

SECTIONS = {
    "QUEUE": JobFigures,
    "WORKER": vocabulary.WorkerFigures,
    "DATABASE": vocabulary.DatabaseFigures,
    "REDIS": vocabulary.RedisFigures,
    "RECORDER": vocabulary.RecorderFigures,
    "PROCESS": vocabulary.ProcessTotal,
    "ERROR": vocabulary.ErrorFigures,
}


def is_number(kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(is_number(part) for part in get_args(kind))
    return kind in (int, float)


def test_every_number_is_a_metric() -> None:
    numbers = {
        f"{section}_{field.name.upper()}"
        for section, struct in SECTIONS.items()
        for field in msgspec.structs.fields(struct)
        if is_number(field.type)
    }
    assert numbers - {metric.value for metric in Metric} == {"ERROR_NOTIFICATIONS_FAILED_HOUR"}
    assert {metric.value for metric in Metric} <= numbers


def snapshot(**queues: int) -> Snapshot:
    each = tuple(QueueFigures(name=name, waiting=waiting) for name, waiting in queues.items())
    section = QueueSection(total=JobFigures(waiting=sum(queues.values())), each=each)
    return Snapshot(at_ms=1, took_ms=1, queues=section)


def test_a_figure_is_found_in_the_whole_and_in_one_queue() -> None:
    taken = snapshot(a=1, b=2)
    assert measure(taken, Metric.QUEUE_WAITING) == 3
    assert measure(taken, Metric.QUEUE_WAITING, "b") == 2
    assert measure(taken, Metric.QUEUE_WAITING, "c") is None
    assert measure(taken, Metric.QUEUE_DEAD) is None
    assert measure(taken, Metric.REDIS_KEYS) is None
    assert measure(Snapshot(at_ms=1, took_ms=1), Metric.QUEUE_WAITING, "a") is None


def test_two_snapshots_are_compared_figure_by_figure() -> None:
    waiting = [one for one in compare(snapshot(a=1, b=2), snapshot(b=7, c=1)) if one.metric is Metric.QUEUE_WAITING]

    def difference(queue: str | None, before: float | None, after: float | None) -> Difference:
        return Difference(metric=Metric.QUEUE_WAITING, queue=queue, before=before, after=after)

    assert waiting == [
        difference(None, 3, 8),
        difference("a", 1, None),
        difference("b", 2, 7),
        difference("c", None, 1),
    ]
    assert [one.change for one in waiting] == [5, None, 5, None]
