"""Snapshots as rows, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.errors import InvalidCursor
from jobs.metric import Metric, SeriesRequest
from jobs.page import PageRequest
from jobs.snapshot import (
    ErrorFigures,
    JobFigures,
    ProcessSection,
    ProcessTotal,
    QueueFigures,
    QueueSection,
    RedisFigures,
    Snapshot,
)
from jobs.store import Store

ODD = 'it\'s "a" $\\ ü'


def make(at_ms: int, waiting: int | None = 1, **sections: Any) -> Snapshot:
    queues = None
    if waiting is not None:
        each = (
            QueueFigures(name=ODD, waiting=waiting),
            QueueFigures(name="b.c", waiting=10 * waiting),
        )
        queues = QueueSection(total=JobFigures(waiting=11 * waiting), each=each)
    return Snapshot(at_ms=at_ms, took_ms=7, queues=queues, **sections)


def asked(metric: Metric, since_ms: int, until_ms: int, step_ms: int, queue: str | None = None) -> SeriesRequest:
    return SeriesRequest(metric=metric, since_ms=since_ms, until_ms=until_ms, step_ms=step_ms, queue=queue)


async def fill(store: Store, moments: Sequence[int]) -> None:
    for moment in moments:
        assert await store.snapshots.add(make(moment, moment), moment)


async def test_what_was_stored_is_read(store: Store) -> None:
    assert await store.snapshots.newest_id() is None
    taken = make(
        5,
        redis=RedisFigures(connected=True, hit_rate=0.5, memory_used_bytes=2**40),
        errors=ErrorFigures(dead_hour=3),
        faults={"workers": "It hung."},
    )
    assert await store.snapshots.add(taken, 5)
    found = await store.snapshots.at(5)
    assert found is not None
    assert found.id == await store.snapshots.newest_id()
    assert found == Snapshot(**{name: getattr(taken, name) for name in Snapshot.__struct_fields__} | {"id": found.id})
    assert await store.snapshots.find(found.id or 0) == found
    assert await store.snapshots.find(10**9) is None
    (row,) = await store._database.fetch("SELECT error_count, workers FROM system_health_snapshots")
    assert (row["error_count"], row["workers"]) == (3, None)


async def test_a_slot_has_one_snapshot(store: Store) -> None:
    added = await asyncio.gather(*(store.snapshots.add(make(number), 300_000) for number in range(5)))
    assert sorted(added) == [False] * 4 + [True]
    assert len((await store.snapshots.page(PageRequest())).items) == 1


async def test_a_moment_has_the_snapshot_before_it(store: Store) -> None:
    await fill(store, [100, 200, 300])
    found = [await store.snapshots.at(moment) for moment in (99, 100, 250, 300, 10**15)]
    assert [one and one.at_ms for one in found] == [None, 100, 200, 300, 300]


async def test_pages_go_from_the_newest_back(store: Store) -> None:
    await fill(store, [10, 20, 30, 40, 50])
    first = await store.snapshots.page(PageRequest(limit=2))
    assert [one.at_ms for one in first.items] == [50, 40]
    assert (first.has_next, first.has_previous) == (True, False)
    second = await store.snapshots.page(PageRequest(limit=2, after=first.cursors[-1]))
    assert [one.at_ms for one in second.items] == [30, 20]
    last = await store.snapshots.page(PageRequest(limit=2, backward=True, before=second.cursors[0]))
    assert [one.at_ms for one in last.items] == [50, 40]
    with pytest.raises(InvalidCursor):
        await store.snapshots.page(PageRequest(after="nonsense"))


async def test_a_series_has_average_least_and_most_of_each_step(store: Store) -> None:
    await fill(store, [1_000, 1_500, 1_999, 3_000])
    await store.snapshots.add(make(2_000, None), 2_000)  # where it is not known it is no zero
    series = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 1_000, 4_000, 1_000))
    assert [(one.at_ms, one.count, one.least, one.most) for one in series] == [
        (1_000, 3, 11_000, 21_989),
        (3_000, 1, 33_000, 33_000),
    ]
    assert series[0].average == pytest.approx(11 * (1_000 + 1_500 + 1_999) / 3)
    assert await store.snapshots.series(asked(Metric.QUEUE_WAITING, 1_001, 1_500, 1_000)) == []


@pytest.mark.parametrize(("queue", "factor"), [(ODD, 1), ("b.c", 10)])
async def test_a_queue_has_a_series_of_its_own(store: Store, queue: str, factor: int) -> None:
    await fill(store, [1_000, 2_000])
    series = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10_000, 60_000, queue))
    assert [(one.least, one.most) for one in series] == [(1_000 * factor, 2_000 * factor)]
    assert await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10_000, 60_000, "b")) == []
    assert await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10_000, 60_000, '"')) == []
    assert await store.snapshots.series(asked(Metric.QUEUE_DEAD, 0, 10_000, 60_000, queue)) == []


@pytest.mark.parametrize("first", [True, False])
async def test_a_queue_is_found_whatever_the_names_of_others(store: Store, first: bool) -> None:
    # Every figure of a queue may be the name of one, and so may every object around it.
    figures = JobFigures.__struct_fields__
    names = ["a", 'x"b', 'a,"b', "a,", "each", "total", 'x"dead', "a.b", "x-y", "1", "name", "null", *figures]
    names = names if first else names[::-1]  # what is first of all has another character before it
    each = tuple(QueueFigures(name=one, waiting=number, dead=None) for number, one in enumerate(names))
    queues = QueueSection(total=JobFigures(waiting=99, dead=99), each=each)
    await store.snapshots.add(Snapshot(at_ms=5, took_ms=1, queues=queues), 5)
    for name in [*names, "b"]:
        series = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10, 10, name))
        assert [one.most for one in series] == ([names.index(name)] if name in names else []), name
        assert await store.snapshots.series(asked(Metric.QUEUE_DEAD, 0, 10, 10, name)) == [], name


@pytest.mark.parametrize("waiting", [1, None])
async def test_a_queue_that_is_not_there_has_no_series_whatever_its_name(store: Store, waiting: int | None) -> None:
    await store.snapshots.add(make(5, waiting), 5)
    for name in ["each", "total", "name", *JobFigures.__struct_fields__]:
        assert await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10, 10, name)) == [], name


async def test_a_queue_has_a_series_where_there_is_no_other(store: Store) -> None:
    for name in ["each", "total", *JobFigures.__struct_fields__]:
        queues = QueueSection(total=JobFigures(waiting=9), each=(QueueFigures(name=name, waiting=5),))
        await store.snapshots.add(Snapshot(at_ms=5, took_ms=1, queues=queues), 5)
        for asked_for in ["each", "total", *JobFigures.__struct_fields__]:
            series = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10, 10, asked_for))
            assert [one.most for one in series] == ([5] if asked_for == name else []), (name, asked_for)
        async with store._database.transaction() as transaction:
            await transaction.execute("DELETE FROM system_health_snapshots")


async def test_of_very_many_snapshots_some_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(store, list(range(1_000, 1_100)))
    monkeypatch.setattr("jobs.store.snapshot.SERIES_MAX", 30)
    (point,) = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 10_000, 60_000))
    assert point.count == 25
    assert point.average == pytest.approx(11 * 1_050, rel=0.01)
    (point,) = await store.snapshots.series(asked(Metric.QUEUE_WAITING, 0, 1_030, 60_000))
    assert point.count == 30


async def test_every_metric_has_a_series(store: Store) -> None:
    total = ProcessTotal(count=4, cpu=0.25, memory_bytes=2**35, loop_lag_ms=None)
    await store.snapshots.add(
        make(5, 2, redis=RedisFigures(connected=True, hit_rate=0.5), processes=ProcessSection(total=total, each=())), 5
    )
    known = {
        Metric.QUEUE_WAITING: 22,
        Metric.QUEUE_DELAYED: 0,
        Metric.QUEUE_ACTIVE: 0,
        Metric.QUEUE_BLOCKED: 0,
        Metric.REDIS_HIT_RATE: 0.5,
        Metric.PROCESS_COUNT: 4,
        Metric.PROCESS_CPU: 0.25,
        Metric.PROCESS_MEMORY_BYTES: 2**35,
    }
    for metric in Metric:
        series = await store.snapshots.series(asked(metric, 0, 10, 10))
        assert [one.average for one in series] == ([known[metric]] if metric in known else []), metric


async def test_a_section_that_cannot_be_read_is_named(store: Store) -> None:
    await fill(store, [10])
    async with store._database.transaction() as transaction:
        await transaction.execute("UPDATE system_health_snapshots SET queues = '[]', redis = '{\"connected\": true}'")
    found = await store.snapshots.at(10)
    assert found is not None
    assert found.queues is None
    assert found.faults == {"queues": "What was stored cannot be read."}
    assert found.redis == RedisFigures(connected=True)


DEEP = "[" * 100_000


@pytest.mark.parametrize("damaged", ["{", "", "null", '["workers"]', '{"workers": 5}', DEEP])
async def test_faults_that_cannot_be_read_are_a_fault_and_the_others_are_shown(store: Store, damaged: str) -> None:
    for at_ms in (10, 20, 30):
        await store.snapshots.add(make(at_ms, faults={"workers": "It hung."}), at_ms)
    async with store._database.transaction() as transaction:
        await transaction.execute("UPDATE system_health_snapshots SET faults = $1 WHERE at_ms = 20", (damaged,))
    with capture_logs() as lines:
        page = await store.snapshots.page(PageRequest())
    whole, instead = {"workers": "It hung."}, {"faults": "What was stored cannot be read."}
    assert [(one.at_ms, one.faults) for one in page.items] == [(30, whole), (20, instead), (10, whole)]
    assert all(one.queues for one in page.items)
    (line,) = [line for line in lines if line["event"] == "store.unread_snapshot"]
    assert (line["id"], line["parts"]) == (page.items[1].id, ["faults"])


@pytest.mark.parametrize("damaged", ["{", "", "null", "[]", '{"total":{"waiting":', '{"total":{"waiting":null}}', DEEP])
async def test_a_section_that_cannot_be_read_is_left_out_of_a_series(store: Store, damaged: str) -> None:
    names = ("b.c", ODD, "each")
    for at_ms in (10, 20, 30):
        each = tuple(QueueFigures(name=name, waiting=at_ms + place) for place, name in enumerate(names))
        queues = QueueSection(total=JobFigures(waiting=3 * at_ms + 3), each=each)
        redis = RedisFigures(connected=True, hit_rate=1e-05)
        await store.snapshots.add(Snapshot(at_ms=at_ms, took_ms=1, queues=queues, redis=redis), at_ms)
    async with store._database.transaction() as transaction:
        sql = "UPDATE system_health_snapshots SET queues = $1, redis = $1 WHERE at_ms = 20"
        await transaction.execute(sql, (damaged,))
    for metric, queue, average in (
        (Metric.QUEUE_WAITING, None, 63),
        *((Metric.QUEUE_WAITING, name, 20 + place) for place, name in enumerate(names)),
        (Metric.REDIS_HIT_RATE, None, 1e-05),
    ):
        (point,) = await store.snapshots.series(asked(metric, 0, 100, 100, queue))
        assert (point.count, point.average) == (2, average)
