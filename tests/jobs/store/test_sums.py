"""Sums over rollups, against rows that the test wrote."""

from __future__ import annotations

import pytest

from jobs.histogram import Histogram
from jobs.statistics import Span
from jobs.store import Store, sums
from jobs.store.sums import Ended, Sums

NOW_MS = 1_700_000_040_123
MINUTE_MS = 60_000


async def roll(store: Store, span_s: Span, at_ms: int, queue: str, task: str = "", **figures: object) -> None:
    names = ["span_s", "at_ms", "queue", "task", *figures]
    values = [int(span_s), at_ms, queue, task, *figures.values()]
    numbers = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    async with store._database.transaction() as transaction:
        await transaction.execute(
            f"INSERT INTO rollup ({', '.join(names)}) VALUES ({numbers})",  # noqa: S608  # names of our own columns
            values,
        )


async def bury(store: Store, queue: str, number: int, state: str = "DEAD") -> None:
    async with store._database.transaction() as transaction:
        for one in range(number):
            await transaction.execute(
                "INSERT INTO job (id, task, queue, state, priority, args, max_attempts, backoff, timeout_s, durability,"
                " metadata, created_ms, updated_ms, finished_ms)"
                " VALUES ($1, 't', $2, $3, 2, '{}', 1, '{}', 1, 'STORE', '{}', 1, 1, 1)",
                (f"{queue}-{state}-{one}", queue, state),
            )


async def test_ends_are_added_up_by_queue(store: Store) -> None:
    for day in range(3):  # they count on
        done = {"completed": 10 + 10 * day, "dead": 2 + 2 * day, "cancelled": 1 + day}
        await roll(store, Span.DAY, day * Span.DAY.ms, "a", **done)
        await roll(store, Span.DAY, day * Span.DAY.ms, "a", "task", **done)
        await roll(store, Span.DAY, day * Span.DAY.ms, "", completed=99)
    await roll(store, Span.HOUR, 0, "a", completed=10)
    await roll(store, Span.DAY, 0, "b", completed=5)
    await bury(store, "a", 4)
    await bury(store, "a", 3, "COMPLETED")
    assert await store.sums.ended(["a", "b", "new"]) == {
        "a": Ended(completed=30, failed=6, cancelled=3, dead=4),
        "b": Ended(completed=5, failed=0, cancelled=0, dead=0),
        "new": Ended(completed=0, failed=0, cancelled=0, dead=0),
    }
    assert await store.sums.ended([]) == {}


async def test_the_dead_are_counted_up_to_a_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LIMIT 10000" in sums._DEAD
    monkeypatch.setattr(sums, "_DEAD", sums._DEAD.replace("LIMIT 10000", "LIMIT 3"))
    await bury(store, "a", 5)
    await bury(store, "b", 2)
    ended = await store.sums.ended(["a", "b"])
    assert (ended["a"].dead, ended["b"].dead) == (3, 2)


def _one(duration_ms: int) -> str:
    return str(Histogram.of([duration_ms]))


async def test_the_last_hour_is_sixty_minutes(store: Store) -> None:
    last_ms = NOW_MS // MINUTE_MS * MINUTE_MS
    first_ms, hour_ms = last_ms - 59 * MINUTE_MS, last_ms - last_ms % Span.HOUR.ms
    runs = {"run_ms": 1_000, "runs": str(Histogram.of([400, 600]))}
    earlier = {"run_ms": 5_000, "runs": str(Histogram.of([400, 600, 4_000]))}
    assert first_ms - MINUTE_MS >= hour_ms - Span.HOUR.ms
    await roll(store, Span.MINUTE, first_ms - MINUTE_MS, "", completed=1_000, run_ms=4_000, runs=_one(4_000))
    await roll(store, Span.MINUTE, first_ms, "", completed=1_003, failed=2, dead=1, **earlier)
    await roll(store, Span.HOUR, hour_ms - Span.HOUR.ms, "", completed=1_003, failed=2, dead=1, **earlier)
    await roll(store, Span.MINUTE, last_ms, "", completed=4, **runs)
    await roll(store, Span.MINUTE, first_ms, "a", completed=100)
    await roll(store, Span.HOUR, hour_ms, "a", completed=100)
    hour = await Sums(store._database, lambda: NOW_MS).last_hour()
    assert (hour.completed, hour.failed, hour.dead, hour.average_run_ms) == (7, 2, 1, 500)


async def test_an_hour_in_which_nothing_ran_has_no_average(store: Store) -> None:
    hour = await store.sums.last_hour()
    assert (hour.completed, hour.failed, hour.dead, hour.average_run_ms) == (0, 0, 0, None)
