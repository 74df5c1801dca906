"""The verdict: a figure is right where its source had that value around the moment of the snapshot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.system.figures.outside import Range, Ranges
from tests.system.figures.source import Figures, Sample

NEAR_S = 1.0
REPORTED = ("PROCESS_", "DATABASE_POOL_", "DATABASE_SLOW_")
"""Processes say these every five seconds, so that they may be as old."""

WITHIN: dict[str, tuple[float, float]] = {
    "DATABASE_SIZE_BYTES": (0.01, 0),
    "DATABASE_POOL_ACTIVE": (0, 1),
    "DATABASE_POOL_IDLE": (0, 1),
    "DATABASE_CONNECTIONS_ACTIVE": (0, 1),
    "DATABASE_AVERAGE_QUERY_MS": (0.1, 0),
    "DATABASE_QUERIES_MINUTE": (0.002, 2),
    "REDIS_MEMORY_USED_BYTES": (0.02, 0),
    "REDIS_HIT_RATE": (0.01, 0),
    "REDIS_KEYS": (0, 20),
    "REDIS_CONNECTIONS": (0, 2),
    "REDIS_OPERATIONS_PER_S": (0.3, 20),
    "RECORDER_LAG_EVENTS": (0, 100),
    "RECORDER_LAG_MS": (0, 500),
    "RECORDER_STREAM_BYTES": (0.1, 0),
    "PROCESS_MEMORY_BYTES": (0.05, 0),
    "PROCESS_CPU": (0, 0.15),
    "WORKER_AVERAGE_RUN_MS": (0.02, 0),
    "QUEUE_ACTIVE": (0, 5),
    "QUEUE_WAITING": (0, 15),
    "QUEUE_DELAYED": (0, 3),
    "WORKER_RUNNING": (0, 5),
}
"""How far beyond what was sampled a figure may lie, as a part of it and beside that: between two samples it moves too,
and what moves fast is sampled a few times a second only. Besides, jobs are recounted in history, which is behind."""


@dataclass(frozen=True)
class Finding:
    metric: str
    queue: str
    value: float
    least: float | None
    most: float | None
    verdict: str


def judge(said: Figures, samples: Sequence[Sample], at_s: float, ranges: Ranges) -> list[Finding]:
    """Hold the figures of a snapshot of that moment against what their sources said around it, or against `ranges`."""
    before = [one for one in samples if one.ended_s <= at_s][-1:]
    after = [one for one in samples if one.began_s > at_s][:1]
    near = [one for one in samples if at_s - NEAR_S < one.ended_s and one.began_s < at_s + NEAR_S]
    around = [one.figures for one in (*before, *near, *after)]
    ever = [one.figures for one in samples]
    return [
        _judge(figure, value, _range(figure, ever if figure[0].startswith(REPORTED) else around, ranges))
        for figure, value in sorted(said.items())
    ]


def _range(figure: tuple[str, str], samples: Sequence[Figures], ranges: Ranges) -> Range | None:
    seen = [sample[figure] for sample in samples if figure in sample]
    return ranges.get(figure) or ((min(seen), max(seen)) if seen else None)


def _judge(figure: tuple[str, str], value: float, source: Range | None) -> Finding:
    metric, queue = figure
    if source is None:
        return Finding(metric, queue, value, None, None, "NO SOURCE")
    part, beside = WITHIN.get(metric, (0.0, 0.0))
    least, most = source
    right = least * (1 - part) - beside <= value <= most * (1 + part) + beside
    return Finding(metric, queue, value, least, most, "ok" if right else "WRONG")


def table(findings: Sequence[Finding]) -> str:
    """Print the findings of one snapshot."""
    rows = [("FIGURE", "SNAPSHOT", "SOURCE", "VERDICT")]
    for one in findings:
        source = "" if one.least is None else _shown(one.least)
        if one.least != one.most:
            source += " or more" if one.most == math.inf else f" to {_shown(one.most or 0)}"
        name = f"{one.metric} ({one.queue})" if one.queue else one.metric
        rows.append((name, _shown(one.value), source, one.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"
