"""Windows that statistics are asked of: of any length, anywhere within the ninety days, to the minute."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from jobs.clock import now_ms
from jobs.statistics import Asked, Span
from jobs.store import Store
from tests.bench.rollups import MINUTE_DAYS

Ask = Callable[[random.Random], Awaitable[Any]]

GROUPED = {
    "all": Asked(),
    "by queue": Asked(by_queue=True),
    "by task": Asked(by_task=True),
    "by queue and task": Asked(by_queue=True, by_task=True),
    "queue": Asked(queue="queue3"),
    "queue, by task": Asked(queue="queue3", by_task=True),
    "task": Asked(task="task3"),
    "queue and task": Asked(queue="queue3", task="task3"),
}
SERIES = {Span.MINUTE: 1, Span.HOUR: 30, Span.DAY: 89}
"""Days of a series with such steps."""


def statistics(store: Store) -> dict[str, Ask]:
    """Return the queries of statistics."""
    end_ms = now_ms()
    asks: dict[str, Ask] = {}

    async def read(asked: Asked, from_ms: int, until_ms: int, step: Span | None = None) -> Any:
        """Ask, and read all percentiles, as one who asks for everything."""
        parts = (await store.statistics.report(asked, from_ms, until_ms, step)).parts
        for part in parts:
            for one in (0.5, 0.95):
                part.figures.runs.percentile(one)
                part.figures.waits.percentile(one)
        return parts

    for name, asked in GROUPED.items():
        for days in (MINUTE_DAYS - 1, 89):

            async def report(chance: random.Random, asked: Asked = asked, days: int = days) -> Any:
                from_ms = end_ms - chance.randrange(1, days) * Span.DAY.ms - chance.randrange(Span.DAY.ms)
                return await read(asked, from_ms, end_ms - chance.randrange(Span.DAY.ms))

            asks[f"statistics {name}: up to {days} days"] = report
    for step, days in SERIES.items():

        async def series(chance: random.Random, step: Span = step, days: int = days) -> Any:
            queue = chance.choice([None, "queue3"])
            return await read(Asked(queue=queue), end_ms - days * Span.DAY.ms, end_ms, step)

        asks[f"statistics series: {days} days by {step.name.lower()}"] = series

    async def states(chance: random.Random) -> Any:
        at_ms = end_ms - chance.randrange(89 * Span.DAY.ms)
        return (await store.statistics.states(at_ms, chance.choice([None, "queue3"])))[2]

    asks["statistics: states at a past moment"] = states
    return asks
