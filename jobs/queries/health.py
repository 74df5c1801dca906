"""Queries about the whole system: as it is, and as it was."""

from __future__ import annotations

import msgspec

from jobs.clock import Clock
from jobs.errors import InvalidOption
from jobs.metric import Difference, SeriesPoint, SeriesRequest, compare
from jobs.name import check_queue
from jobs.page import Page, PageRequest
from jobs.recent import Recent
from jobs.snapshot import Snapshot
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise

STEP_MIN_MS = 1_000
POINTS_MAX = 1_000


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two snapshots, and what is different between them."""

    before: Snapshot
    after: Snapshot
    differences: list[Difference]


class HealthQueries:
    """The figures of the system. Those of now are a second old at most, however many ask."""

    def __init__(self, store: Store, present: Recent[Snapshot], clock: Clock) -> None:
        self._store = store
        self._present = present
        self._clock = clock

    async def now(self, viewer: Viewer) -> Snapshot:
        """Return how the system is. What cannot be found out is None, and named in `faults`. Raises Forbidden."""
        authorise(viewer, Permission.READ)
        return await self._present.get()

    async def at(self, viewer: Viewer, at_ms: int | None = None) -> Snapshot | None:
        """Return the newest snapshot, or that of a moment: the last one before. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.snapshots.at(self._clock() if at_ms is None else at_ms)

    async def get(self, viewer: Viewer, snapshot_id: str) -> Snapshot | None:
        """Return a snapshot, None where there is none. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        known = snapshot_id.isdecimal() and snapshot_id.isascii() and len(snapshot_id) <= 18
        return await self._store.snapshots.find(int(snapshot_id)) if known else None

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Snapshot]:
        """Return a page of snapshots, the newest first. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.snapshots.page(page)

    async def compare(self, viewer: Viewer, before_id: str, after_id: str) -> Comparison | None:
        """Compare two snapshots; None where one of them does not exist. Raises Forbidden, StoreUnavailable."""
        before, after = await self.get(viewer, before_id), await self.get(viewer, after_id)
        if before is None or after is None:
            return None
        return Comparison(before=before, after=after, differences=compare(before, after))

    async def series(self, viewer: Viewer, asked: SeriesRequest) -> list[SeriesPoint]:
        """Return a figure over time; steps in which it is not known are left out.

        Raises Forbidden, InvalidOption, also for more than 1,000 steps, StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        check_queue(asked.queue)
        if asked.since_ms >= asked.until_ms:
            raise InvalidOption("`range` must begin before it ends.", path=("range",))
        if asked.step_ms < STEP_MIN_MS:
            raise InvalidOption("`step` must be a second or more.", path=("step",))
        if asked.until_ms - asked.since_ms > POINTS_MAX * asked.step_ms:
            raise InvalidOption(f"These are more than {POINTS_MAX:,} steps; take longer ones.", path=("step",))
        if asked.queue is not None and not asked.metric.of_queue:
            told = f"{asked.metric} is not a figure of single queues; leave `queue` out."
            raise InvalidOption(told, path=("queue",))
        return await self._store.snapshots.series(asked)
