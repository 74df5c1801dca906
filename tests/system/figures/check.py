"""The verdict: a figure is right where its source had that value around the moment of the snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.system.figures.outside import Range, Ranges
from tests.system.figures.source import Figures, Sample

ROUNDED = 1e-6
WITHIN: dict[str, tuple[float, float]] = {
    "REDIS_MEMORY_USED_BYTES": (0.005, 30_000),
    "REDIS_HIT_RATE": (0.001, 0),
    "REDIS_KEYS": (0, 5),
    "REDIS_OPERATIONS_PER_S": (0.03, 0),
    "RECORDER_STREAM_BYTES": (0.01, 0),
    "WORKER_RUNNING": (0, 3),
    "WORKER_AVERAGE_RUN_MS": (0.005, 0),
    "DATABASE_CONNECTIONS_ACTIVE": (0, 1),
    "PROCESS_CPU": (0, 0.0015),
}
"""How far beyond what was seen a figure may lie, as a part of it and beside that.

Redis's buffers, keys that expire, reserved jobs and sessions that run come and go between two looks, a few at a time;
an average falls with every short attempt that ends and rises with a long one, and Redis's of 16 tenths of a second is
another one every tenth; the product asks for the size of a part of the stream only; processor time is said in
thousandths of a core.
"""


@dataclass(frozen=True)
class Finding:
    metric: str
    queue: str
    value: float | None
    least: float | None
    most: float | None
    verdict: str


def judge(
    said: Figures, samples: Sequence[Sample], taken: Range, ranges: Ranges, wanted: Iterable[str] = ()
) -> list[Finding]:
    """Hold the figures of a snapshot against what their sources said while it was `taken`, or against `ranges`.

    Every figure that has a source must be there, and of each of those `wanted` one at least.
    """
    sources = {figure for one in samples for figure in one.figures} | set(ranges)
    absent = [(metric, "") for metric in wanted if all(metric != one for one, _ in (*said, *sources))]
    return [
        _judge(figure, said.get(figure), ranges.get(figure) or _seen(figure, samples, *taken))
        for figure in sorted({*said, *sources, *absent})
    ]


def _seen(figure: tuple[str, str], samples: Sequence[Sample], since_s: float, until_s: float) -> Range | None:
    """What its source said between two moments, right before and right after."""
    own = [one for one in samples if figure in one.figures]
    first = max((n for n, one in enumerate(own) if one.ended_s <= since_s), default=0)
    last = next((n for n, one in enumerate(own) if one.began_s >= until_s), len(own) - 1)
    values = [one.figures[figure] for one in own[first : last + 1]]
    return (min(values), max(values)) if values else None


def _judge(figure: tuple[str, str], value: float | None, source: Range | None) -> Finding:
    metric, queue = figure
    if source is None:
        return Finding(metric, queue, value, None, None, "NO SOURCE")
    part, beside = WITHIN.get(metric, (0.0, 0.0))
    least, most = max(0.0, source[0] * (1 - part) - beside), source[1] * (1 + part) + beside
    if value is None:
        return Finding(metric, queue, None, least, most, "MISSING")
    # Figures with fractions are rounded on their way.
    right = least - abs(least) * ROUNDED <= value <= most + abs(most) * ROUNDED
    return Finding(metric, queue, value, least, most, "ok" if right else "WRONG")


def table(findings: Sequence[Finding]) -> str:
    """Print the findings of one snapshot."""
    rows = [("FIGURE", "SNAPSHOT", "SOURCE", "VERDICT")]
    for one in findings:
        source = "" if one.least is None else _shown(one.least)
        if one.least != one.most:
            source += " or more" if one.most == math.inf else f" to {_shown(one.most or 0)}"
        name = f"{one.metric} ({one.queue})" if one.queue else one.metric
        rows.append((name, "" if one.value is None else _shown(one.value), source, one.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}" if value < 1 else f"{value:,.3f}"
