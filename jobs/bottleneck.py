"""Which tasks to look at: the slowest, those that fail most, and those that have changed most. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from jobs.rollup import Figures

EACH = 3
"""So many of each kind."""
ENOUGH = 10
"""Attempts on both sides that it takes to call something a change."""
CHANGE_MIN = 1.25
"""Less is no change."""


class BottleneckKind(StrEnum):
    """Why a task is worth a look."""

    SLOWEST = "SLOWEST"
    """Its attempts take longest."""
    MOST_FAILING = "MOST_FAILING"
    """The greatest part of its attempts fails."""
    MOST_CHANGED = "MOST_CHANGED"
    """It takes longer, or fails more often, than in the window before; or the other way round."""


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is worth a look."""

    kind: BottleneckKind
    task: str
    reason: str
    """One sentence with the figures that say so."""


def bottlenecks(now: Mapping[str, Figures], before: Mapping[str, Figures]) -> list[Bottleneck]:
    """Return up to EACH tasks of each kind, the worst first, by the figures of a window and of the one before."""
    slow = sorted(((one.runs.percentile(0.95) or 0.0, task) for task, one in now.items() if one.runs.counts))[::-1]
    failing = sorted(((_surely(one), task) for task, one in now.items() if one.failed))[::-1]
    changed = sorted(change for task, one in now.items() if task in before for change in _changes(task, one, before))
    return [
        *[_named(BottleneckKind.SLOWEST, task, _slow(now[task])) for _, task in slow[:EACH]],
        *[_named(BottleneckKind.MOST_FAILING, task, _failing(now[task])) for _, task in failing[:EACH]],
        *[_named(BottleneckKind.MOST_CHANGED, task, reason) for _, task, reason in changed[::-1][:EACH]],
    ]


def attempts_ended(figures: Figures) -> int:
    """Return how many attempts showed whether they work: they completed, failed, or their worker was lost."""
    return figures.completed + figures.failed + figures.lost


def shown(duration_ms: float) -> str:
    """Write a duration for people: `340 ms`, `4.1 s`, `12 min`, `3.5 h`."""
    for unit, length in (("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if duration_ms >= length:
            value = duration_ms / length
            return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
    return f"{duration_ms:.0f} ms"


def _named(kind: BottleneckKind, task: str, reason: str) -> Bottleneck:
    return Bottleneck(kind=kind, task=task, reason=reason)


def _slow(figures: Figures) -> str:
    high, count = figures.runs.percentile(0.95) or 0.0, figures.runs.total
    return f"95 % of its {_attempts(count)} ended within {shown(high)}; the average was {shown(_average_ms(figures))}."


def _failing(figures: Figures) -> str:
    ended = attempts_ended(figures)
    died = f", and {figures.dead:,} of its jobs died" if figures.dead else ""
    return f"{_percent(figures.failed / ended)} of its {_attempts(ended)} failed{died}."


def _changes(task: str, figures: Figures, all_before: Mapping[str, Figures]) -> Iterator[tuple[float, str, str]]:
    before = all_before[task]
    if min(figures.runs.total, before.runs.total) >= ENOUGH:
        new, old = _average_ms(figures), _average_ms(before)
        times = max((new + 1) / (old + 1), (old + 1) / (new + 1))
        if times >= CHANGE_MIN:
            yield times, task, f"Its attempts took {shown(new)} on average, and {shown(old)} in the window before."
    if min(attempts_ended(figures), attempts_ended(before)) >= ENOUGH:
        part, was = figures.failed / attempts_ended(figures), before.failed / attempts_ended(before)
        times = max((part + 0.01) / (was + 0.01), (was + 0.01) / (part + 0.01))
        if times >= CHANGE_MIN:
            yield times, task, f"{_percent(part)} of its attempts failed, and {_percent(was)} in the window before."


def _average_ms(figures: Figures) -> float:
    return figures.run_ms / figures.runs.total


def _surely(figures: Figures) -> float:
    """Return the part of the attempts that fails at least, with 95 % certainty: few attempts tell little (Wilson)."""
    count, z = attempts_ended(figures), 1.96
    part = figures.failed / count
    spread = z * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count))
    return (part + z * z / (2 * count) - spread) / (1 + z * z / count)


def _attempts(count: int) -> str:
    return f"{count:,} attempts" if count != 1 else "one attempt"


def _percent(part: float) -> str:
    return f"{part:.1%}".replace("%", " %")
