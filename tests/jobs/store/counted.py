"""What the rollups of a store count, and what they must agree with."""

from __future__ import annotations

from collections import Counter

from jobs.histogram import Histogram
from jobs.job import State
from jobs.rollup import ENTERED, SUMS, Figures, numbers
from jobs.statistics import Span
from jobs.store import Store
from jobs.store.rollup import Key

OPEN = [State.BLOCKED, State.SCHEDULED, State.QUEUED, State.ACTIVE, State.RETRYING]


async def stored(store: Store) -> dict[Key, Figures]:
    """What happened in the span of every row: what it counts less what the one before it counts since then."""
    rows = await store._database.fetch("SELECT * FROM rollup ORDER BY span_s, queue, task, at_ms")
    found: dict[Key, Figures] = {}
    begun: dict[Key, Figures] = {}
    for row in rows:
        line, at_ms = (row["span_s"], row["queue"], row["task"]), row["at_ms"]
        counted = Figures(
            **{name: row[name] for name in SUMS}, waits=Histogram.read(row["waits"]), runs=Histogram.read(row["runs"])
        )
        period = {60: at_ms // 3_600_000, 3_600: at_ms // 86_400_000, 86_400: 0}[row["span_s"]]
        found[*line, at_ms] = less(counted, begun.get((*line, period), Figures()))
        begun[*line, period] = counted
    assert len(found) == len(rows)
    return {key: one for key, one in found.items() if one != Figures()}


def less(figures: Figures, other: Figures) -> Figures:
    sums = {name: a - b for name, a, b in zip(SUMS, numbers(figures), numbers(other), strict=True)}
    waits, runs = (
        shaped({bucket: count - old.counts.get(bucket, 0) for bucket, count in new.counts.items()})
        for new, old in ((figures.waits, other.waits), (figures.runs, other.runs))
    )
    return Figures(**sums, waits=waits, runs=runs)


def shaped(counts: dict[int, int]) -> Histogram:
    """Make a histogram of this shape."""
    first = min(counts, default=0)
    return Histogram(first, [counts.get(bucket, 0) for bucket in range(first, max(counts, default=-1) + 1)])


async def check_states(store: Store) -> None:
    """What entered the states is what is in them."""
    for name in ("queue", "task", "''"):
        counted = await store._database.fetch(
            f"SELECT {name} AS name, state, count(*) AS jobs FROM job WHERE version > 0 GROUP BY 1, 2"  # noqa: S608  # our own names
        )
        for span in Span:
            entered: Counter[tuple[str, str]] = Counter()
            for (span_s, queue, task, _), figures in (await stored(store)).items():
                of = {"queue": queue, "task": task}.get(name, "")
                if span_s == span and bool(of) == (name != "''") and not (queue + task)[len(of) :]:
                    for state in OPEN:
                        entered[of, state] += getattr(figures, ENTERED[state])
            assert {key: number for key, number in entered.items() if number} == {
                (row["name"], row["state"]): row["jobs"] for row in counted if row["state"] in OPEN
            }


async def check_attempts(store: Store) -> None:
    """What is told of attempts is what the table of attempts has."""
    found = await store._database.fetch("SELECT state, count(*) AS attempts FROM attempt GROUP BY 1")
    attempts = Counter({row["state"]: row["attempts"] for row in found})
    days = [one for key, one in (await stored(store)).items() if key[:3] == (86_400, "", "")]
    total = Figures.sum([*days, Figures()])
    assert total.started == sum(attempts.values())
    assert (total.failed, total.lost) == (attempts["FAILED"], attempts["LOST"])
    assert (total.snoozed, total.released) == (attempts["SNOOZED"], attempts["RELEASED"])
    (cpu,) = await store._database.fetch("SELECT sum(cpu_us) AS cpu_us, count(cpu_us) AS known FROM attempt")
    assert (total.cpu_us, total.cpu_known) == (int(cpu["cpu_us"] or 0), cpu["known"])
