"""The loops that carry things between the broker and the store, and the process that runs them."""

from __future__ import annotations

import asyncio

import structlog

from jobs.adoption import Adoption
from jobs.broker import Broker
from jobs.clock import now_ms
from jobs.collectors import Collectors
from jobs.garbage import collect_rarely
from jobs.lookout import Lookout
from jobs.probe import Health
from jobs.probe_port import Probe
from jobs.services.announcer import Announcer
from jobs.services.archivist import Archivist
from jobs.services.base import Loop
from jobs.services.cleaner import Cleaner
from jobs.services.herald import Herald
from jobs.services.reaper import Reaper
from jobs.services.reconciler import Reconciler
from jobs.services.recorder import Recorder
from jobs.services.scheduler import Scheduler
from jobs.services.snapshotter import Snapshotter
from jobs.services.trimmer import Trimmer
from jobs.settings import Settings
from jobs.snapshot import ProcessKind
from jobs.stopping import wait_for_stop
from jobs.store import Store

log = structlog.get_logger(__name__)


class Services:
    """All loops of one process. Start and stop are in an order: the recorder is the last to stop."""

    def __init__(self, store: Store, broker: Broker, settings: Settings) -> None:
        self._store = store
        self._broker = broker
        archivist = _archivist(store, settings) if settings.backup_every_s else None
        herald = Herald(
            ProcessKind.SERVICES,
            store,
            broker,
            parts=self._turning,
            backups=lambda: archivist.figures() if archivist else None,
        )
        self._collectors = Collectors(store, broker, now_ms, heard=herald.heard)
        adoption = Adoption(store, broker)
        self.loops: list[Loop] = [
            Recorder(store, broker, adoption),
            Trimmer(store, broker, replay_window_s=settings.replay_window_s, max_bytes=settings.events_max_bytes),
            Reconciler(store, broker, adoption),
            Scheduler(broker),
            Reaper(broker),
            Snapshotter(store, self._collectors, every_s=settings.snapshot_every_s),
            herald,
            Cleaner(store, broker, replay_window_s=settings.replay_window_s),
        ]
        if settings.report_every_s:
            self.loops.append(Announcer(store, self._collectors, every_s=settings.report_every_s))
        if archivist:
            self.loops.append(archivist)

    def start(self) -> None:
        """Start every loop."""
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        """Stop every loop; the recorder records what the others caused."""
        recorder, *others = self.loops
        await asyncio.gather(*(loop.stop() for loop in others))
        await recorder.stop()
        await self._collectors.close()

    async def health(self) -> list[Health]:
        """Ask every loop, the database and Redis, for a few seconds at most. Never raises."""
        rooms = await asyncio.gather(self._store.health(), self._store.quarantine.health(), self._broker.health())
        return [*self._turning(), *rooms]

    def _turning(self) -> list[Health]:
        return [loop.health() for loop in self.loops]


def _archivist(store: Store, settings: Settings) -> Archivist:
    return Archivist(
        store,
        settings.database_url,
        settings.backup_folder,
        every_s=settings.backup_every_s,
        keep=settings.backup_keep,
        keep_free_bytes=settings.disk_min_bytes,
    )


async def serve(settings: Settings) -> None:
    """Run the services until the process is told to stop. Raises StartError."""
    collect_rarely()
    store = await Store.open(
        settings.database_url, disk_min_bytes=settings.disk_min_bytes, slow_query_ms=settings.slow_query_ms
    )
    try:
        broker = await Broker.open(settings.redis_url, settings)
        try:
            services = Services(store, broker, settings)
            services.start()
            log.info("services.started")
            async with Probe(settings.host, settings.probe_port, Lookout(services.health)):
                await wait_for_stop()
            await services.stop()
            log.info("services.stopped")
        finally:
            await broker.close()
    finally:
        await store.close()
