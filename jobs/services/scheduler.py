"""The scheduler: what is due becomes runnable, and a worker that waits is woken for it."""

from __future__ import annotations

from jobs.broker import Broker
from jobs.services.base import Loop

BATCH = 1_000


class Scheduler(Loop):
    """Promotes due jobs. Any number may run: promoting is one atomic step."""

    name = "scheduler"

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self._broker = broker

    async def turn(self) -> float:
        """Promote what is due, then wait for the next job's time or for one that comes before it."""
        promoted, wait_ms = await self._broker.promote_due(BATCH)
        if promoted < BATCH and wait_ms > 0:
            await self._broker.wait_for_due(wait_ms)
        return 0.0
