"""What happened to the jobs, by task and queue, as metrics: since statistics began, and the same at every replica."""

from __future__ import annotations

import math

from api.metrics.sheet import Sheet
from jobs.histogram import GROWTH, Histogram
from jobs.queries import Each

_COUNTERS = {
    "sent": "accepted",
    "started": "started",
    "succeeded": "completed",
    "failed": "failed",
    "dead": "dead",
    "revoked": "cancelled",
    "lost": "lost",
    "snoozed": "snoozed",
    "released": "released",
}
_EDGES = (8, 17, 25, 34, 42, 49, 58, 66, 73, 83, 90, 97, 109, 116, 123, 132, 144, 160)
"""Buckets of a histogram in which buckets of the metric end, from 2 ms to 70 minutes."""
_LAST_MS = [math.ceil(GROWTH**edge) - 1 for edge in _EDGES]
"""The longest duration, in whole milliseconds, that each of them counts."""
BOUNDS = [str(last_ms / 1000) for last_ms in _LAST_MS]
"""In seconds, as `le` shows them. They are where the histogram's own buckets end, so that every count is exact."""


def show_jobs(sheet: Sheet, totals: Each) -> None:
    """Put in what happened. It reads many histograms: for a thread."""
    sheet.put("queueql_tasks_left_out", totals.left_out)
    for (queue, task), figures in totals.figures.items():
        for name, figure in _COUNTERS.items():
            sheet.put(f"queueql_task_{name}_total", getattr(figures, figure), task, queue)
        sheet.put("queueql_task_cpu_seconds_total", figures.cpu_us / 1_000_000, task, queue)
        _show(sheet, "runtime", figures.runs, figures.run_ms, task, queue)
        _show(sheet, "wait", figures.waits, figures.wait_ms, task, queue)


def _show(sheet: Sheet, name: str, histogram: Histogram, sum_ms: int, *labels: str) -> None:
    counts = [0] * (_EDGES[-1] + 1)
    for bucket, count in histogram.counts.items():
        if bucket < len(counts):
            counts[bucket] += count
    seen, buckets, begin = 0, [], 0
    for edge, bound in zip(_EDGES, BOUNDS, strict=True):
        seen += sum(counts[begin : edge + 1])
        begin = edge + 1
        buckets.append((bound, float(seen)))
    sheet.histogram(
        f"queueql_task_{name}_seconds", [*buckets, ("+Inf", float(histogram.total))], sum_ms / 1000, *labels
    )
