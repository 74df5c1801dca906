"""The snapshotter: how the system is, written down at its start and every few minutes."""

from __future__ import annotations

import structlog

from jobs.clock import Clock, now_ms
from jobs.collectors import Collectors
from jobs.errors import StoreUnavailable
from jobs.services.leading import LeaderLoop
from jobs.store import Store

log = structlog.get_logger(__name__)


class Snapshotter(LeaderLoop):
    """Takes a snapshot where it first leads, and then whenever a multiple of `every_s` has passed since 1970.

    Such a moment is a slot. It gets one snapshot, also where two processes believe that they lead. Where the store is
    away the snapshot is lost, and the next one is taken.
    """

    name = "snapshotter"

    def __init__(self, store: Store, collectors: Collectors, *, every_s: float, clock: Clock = now_ms) -> None:
        super().__init__(store)
        self._store = store
        self._collectors = collectors
        self._every_ms = round(every_s * 1000)
        self._clock = clock
        self._next_ms: int | None = None
        self._losing = False

    async def lead(self) -> float:
        """Take a snapshot."""
        now_ms, every_ms = self._clock(), self._every_ms
        if self._next_ms is None:
            await self._take(now_ms)
        elif (
            not self._next_ms - every_ms <= now_ms < self._next_ms
        ):  # timers are early now and then, and clocks put back
            await self._take(now_ms // every_ms * every_ms)
        now_ms = self._clock()
        self._next_ms = (now_ms // every_ms + 1) * every_ms
        return (self._next_ms - now_ms) / 1000

    async def _take(self, slot_ms: int) -> None:
        snapshot = await self._collectors.collect()
        try:
            stored = await self._store.snapshots.add(snapshot, slot_ms)
        except StoreUnavailable as error:
            if not self._losing:
                log.warning("snapshotter.lost", error=str(error))
            self._losing = True
        else:
            self._losing = False
            if stored:
                log.info("snapshotter.taken", took_ms=snapshot.took_ms, faults=list(snapshot.faults))
