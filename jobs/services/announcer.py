"""The announcer: from time to time it writes the figures of the system into the log, as one line for machines."""

from __future__ import annotations

from typing import Any

import structlog

from jobs.collectors import Collectors
from jobs.metric import Metric, measure
from jobs.services.leading import LeaderLoop
from jobs.snapshot import Snapshot
from jobs.store import Store

log = structlog.get_logger(__name__)

QUEUES_MAX = 100
"""Queues that are named in a report; the totals are of all."""


class Announcer(LeaderLoop):
    """Reports at the start and then every `every_s` seconds, in one process at a time."""

    name = "announcer"

    def __init__(self, store: Store, collectors: Collectors, *, every_s: float) -> None:
        super().__init__(store)
        self._collectors = collectors
        self._every_s = every_s

    async def lead(self) -> float:
        """Report once."""
        log.info("metrics.report", **report(await self._collectors.collect()))
        return self._every_s


def report(now: Snapshot) -> dict[str, Any]:
    """Return the figures of a snapshot by name; those that are not known are left out, and `missing` says whose."""
    figures = {metric.lower(): value for metric in Metric if (value := measure(now, metric)) is not None}
    queues = {
        queue.name: {"waiting": queue.waiting, "delayed": queue.delayed, "active": queue.active, "dead": queue.dead}
        for queue in (now.queues.each[:QUEUES_MAX] if now.queues else ())
    }
    return {**figures, "queues": queues, "missing": sorted(now.faults)}
