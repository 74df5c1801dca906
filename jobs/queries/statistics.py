"""Queries of statistics: what happened in a window, by queue and task, and how queues were at a past moment."""

from __future__ import annotations

import msgspec

from jobs.bottleneck import Bottleneck, bottlenecks
from jobs.broker import Broker
from jobs.broker.waiting import waiting_since
from jobs.clock import Clock
from jobs.errors import InvalidOption
from jobs.job import State
from jobs.name import check_queue, check_task
from jobs.rollup import Figures
from jobs.statistics import Asked, Part, Period, Report, Span
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise

WINDOW_S = 3_600
"""Length of a window where nothing is said of it."""
WINDOW_MAX_S = 5 * 366 * 86_400
AHEAD_MAX_S = 366 * 86_400
"""So far ahead a window may end."""
STEPS_MAX = 1_500

__all__ = ["Asked", "Bottleneck", "Part", "Period", "QueueMoment", "Report", "Span", "StatisticsQueries"]


class QueueMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it was."""

    at_ms: int
    precision: Span
    counts: dict[State, int]


class StatisticsQueries:
    """Figures that outlive the jobs."""

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock

    async def report(self, viewer: Viewer, asked: Asked, period: Period, step: Span | None = None) -> Report:
        """Return what happened in a window, in all or in each step.

        It has an hour where neither its beginning nor its length is given. What was recorded a moment ago is in it.
        Raises Forbidden, InvalidOption, StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        check_queue(asked.queue)
        check_task(asked.task)
        from_ms, until_ms = self._ends(period)
        if fault := self._fault(from_ms, until_ms):
            raise InvalidOption(fault, path=("range",) if period.length_ms is None else ("window",))
        if step and (until_ms - from_ms) > STEPS_MAX * step.ms:
            raise InvalidOption(f"A window may have {STEPS_MAX:,} steps: ask for longer ones.", path=("step",))
        return await self._store.statistics.report(asked, from_ms, until_ms, step)

    async def bottlenecks(self, viewer: Viewer, report: Report, about: Asked) -> list[Bottleneck]:
        """Return which of the tasks that a report is about to look at, by its window and the one before.

        Raises Forbidden, StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        asked = Asked(queue=about.queue, task=about.task, by_task=True)
        window, before = report.window, report.window.before()
        now = await self._store.statistics.report(asked, window.from_ms, window.until_ms)
        then = await self._store.statistics.report(asked, max(0, before.from_ms), before.until_ms)
        return bottlenecks(_by_task(now), _by_task(then))

    async def queue_at(self, viewer: Viewer, name: str, at_ms: int) -> QueueMoment | None:
        """Return how a queue was; None where it never had a job, and before statistics began.

        Raises Forbidden, InvalidOption, StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        check_queue(name, "name")
        if not 0 <= at_ms <= self._clock():
            raise InvalidOption("`at` must be a moment of the past, after 1970.", path=("at",))
        if name not in await self._store.search.queues():
            return None
        exact_ms, precision, counts = await self._store.statistics.states(at_ms, name)
        if not exact_ms or not (await self._store.statistics.report(Asked(), 0, exact_ms)).parts:
            return None
        return QueueMoment(at_ms=exact_ms, precision=precision, counts=counts)

    async def oldest_wait_ms(self, viewer: Viewer, queue: str | None) -> int | None:
        """Return for how long the job has waited that could have started first; None where none waits.

        Raises Forbidden, Unavailable.
        """
        authorise(viewer, Permission.READ)
        names = await self._store.search.queues() if queue is None else [queue]
        since = (await waiting_since(self._broker, names)).values() if names else []
        return max(0, await self._broker.now_ms() - min(since)) if since else None

    def _fault(self, from_ms: int, until_ms: int) -> str | None:
        """Say what is wrong with a window; None where nothing is."""
        if from_ms >= until_ms:
            return "A window must begin before it ends."
        if until_ms > self._clock() + AHEAD_MAX_S * 1000:
            return "A window may end a year ahead at most."
        if from_ms < 0:
            return "A window must begin in 1970 or later."
        return "A window may have five years at most." if until_ms - from_ms > WINDOW_MAX_S * 1000 else None

    def _ends(self, period: Period) -> tuple[int, int]:
        until_ms = self._clock() if period.until_ms is None else period.until_ms
        if period.from_ms is None:
            return until_ms - (WINDOW_S * 1000 if period.length_ms is None else period.length_ms), until_ms
        if period.length_ms is not None:
            raise InvalidOption("Give `window` or `range.from`, not both.", path=("window",))
        return period.from_ms, until_ms


def _by_task(report: Report) -> dict[str, Figures]:
    return {part.task: part.figures for part in report.parts if part.task is not None}
