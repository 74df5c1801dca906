"""What happened since statistics began: it never goes down, and what is gone is left out."""

from __future__ import annotations

import asyncio

import pytest

from jobs.client import Client
from jobs.histogram import Histogram
from jobs.store.totals import STALE_MS, Each, Lately, Totals
from tests.jobs.hand import Hand
from tests.jobs.reading import enqueue
from tests.wait import until

DAY_MS = 86_400_000
NOW = 1_800_000_000_000 + 300_000
ADD = (
    "INSERT INTO rollup (span_s, at_ms, queue, task, accepted, completed, dead, cancelled, run_ms, runs)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)


class Time:
    """A clock that tests set."""

    now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


async def add(
    client: Client, at_ms: int, *, queue: str = "q", task: str = "t", span_s: int = 86_400, **sums: int
) -> None:
    runs = str(Histogram.of([sums["run_ms"]])) if "run_ms" in sums else ""
    names = ("accepted", "completed", "dead", "cancelled", "run_ms")
    values = (span_s, at_ms, queue, task, *(sums.get(name, 0) for name in names), runs)
    async with client.store._database.transaction() as transaction:
        await transaction.execute(ADD, values)


async def test_each_is_what_its_last_day_counts(client: Client) -> None:
    clock = Time()
    totals = Totals(client.store._database, clock)
    today = NOW // DAY_MS * DAY_MS
    for number, days in enumerate((30, 5, 2, 1, 0)):  # they count on
        await add(client, today - days * DAY_MS, accepted=10 * (number + 1), completed=1 + number, run_ms=100)
    for queue, task in (("", ""), ("q", ""), ("", "t")):  # sums of the others
        await add(client, today, queue=queue, task=task, accepted=1_000)
    figures = (await totals.each()).figures["q", "t"]
    assert (figures.accepted, figures.completed, figures.run_ms, figures.runs.total) == (50, 5, 100, 1)
    await add(client, today, task="new", accepted=1)
    assert set((await totals.each()).figures) == {("q", "t"), ("q", "new")}
    for _ in range(4):
        clock.now_ms += DAY_MS
        assert (await totals.each()).figures["q", "t"].accepted == 50
    clock.now_ms += STALE_MS
    assert (await totals.each(), await totals.queues()) == (Each({}, 0), set())
    await add(client, clock.now_ms // DAY_MS * DAY_MS, accepted=51)
    assert {place: one.accepted for place, one in (await totals.each()).figures.items()} == {("q", "t"): 51}


async def test_of_too_many_the_first_are_told_and_how_many_are_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.totals.PLACES_MAX", 2)
    totals = Totals(client.store._database, Time())
    today = NOW // DAY_MS * DAY_MS
    await add(client, today - 30 * DAY_MS, queue="a", task="", accepted=9)
    await add(client, today - 30 * DAY_MS, queue="a", task="t", accepted=9)
    for queue in ("d", "c", "b"):
        await add(client, today - DAY_MS, queue=queue, accepted=1)
        await add(client, today, queue=queue, accepted=2)
        await add(client, today, queue=queue, task="", accepted=2)
    found = await totals.each()
    assert ({place: one.accepted for place, one in found.figures.items()}, found.left_out) == (
        {("b", "t"): 2, ("c", "t"): 2},
        1,
    )
    assert await totals.queues() == {"b", "c", "d"}


async def test_how_jobs_ended_lately(client: Client) -> None:
    totals = Totals(client.store._database, Time())
    minute, hour = NOW // 60_000 * 60_000, NOW // 3_600_000 * 3_600_000
    assert minute - 660_000 < hour < minute  # the hours count what ended before this one began
    await add(client, minute - 660_000, task="", span_s=60, completed=50)
    await add(client, minute - 540_000, task="", span_s=60, completed=50, cancelled=2)
    await add(client, hour - 3_600_000, task="", span_s=3_600, completed=50, cancelled=2)
    await add(client, minute, task="", span_s=60, completed=3, dead=1)
    await add(client, minute, task="t", span_s=60, completed=7)
    assert await totals.lately(600, ["q", "idle"]) == {"q": Lately(finished=6, dead=1)}


async def test_of_however_many_queues_those_asked_for_are_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.store.statistics.GROUPS_MAX", 1)
    for queue in ("a", "b", "z"):
        await add(client, NOW // DAY_MS * DAY_MS, queue=queue, task="", dead=1)
        await add(client, NOW // 60_000 * 60_000, queue=queue, task="", span_s=60, dead=1)
    found = await Totals(client.store._database, Time()).lately(600, ["b", "z"])
    assert found == {"b": Lately(1, 1), "z": Lately(1, 1)}


@pytest.mark.usefixtures("published")
async def test_they_say_what_happened(client: Client, hand: Hand) -> None:
    for _ in range(3):
        await enqueue(client)
    await until(lambda: not client.pusher.waiting)
    for _ in range(2):
        await asyncio.sleep(0)
        await hand.complete()
    await hand.record()
    figures = (await client.store.totals.each()).figures["default", "noop"]
    assert (figures.accepted, figures.started, figures.completed, figures.runs.total) == (3, 2, 2, 2)
