"""The reaper: jobs of workers that died become runnable again."""

from __future__ import annotations

import structlog

from jobs.broker import Broker
from jobs.services.base import Loop

log = structlog.get_logger(__name__)

INTERVAL_S = 0.5
BATCH = 1_000


class Reaper(Loop):
    """Takes jobs back from sessions whose lease ran out. Any number may run: reaping is one atomic step."""

    name = "reaper"

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker

    async def turn(self) -> float:
        """Reap one batch."""
        reaped, ended = await self._broker.reap(BATCH)
        for session in ended:
            log.warning("reaper.worker_lost", worker=session, jobs=len(reaped))
        return 0.0 if len(reaped) == BATCH else INTERVAL_S
