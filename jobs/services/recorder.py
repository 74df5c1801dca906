"""The recorder: events become history.

It reads the stream from its bookmark, which the store keeps in the same transaction as the rows, so
every event is recorded once whatever is killed. Several may run: the one whose bookmark is moved by
somebody else steps back until the other stands still.
"""

from __future__ import annotations

import structlog

from jobs.adoption import Adoption
from jobs.broker import Broker
from jobs.errors import Stale
from jobs.event import Position
from jobs.services.base import Loop
from jobs.store import Store

log = structlog.get_logger(__name__)

BATCH = 5_000
BLOCK_MS = 250
FOLLOW_S = 1.0
FORGET_BATCH = 2_000


class Recorder(Loop):
    """Records events, and forgets jobs whose end is recorded. What cannot be read goes into quarantine."""

    name = "recorder"

    def __init__(self, store: Store, broker: Broker, adoption: Adoption | None = None) -> None:
        super().__init__()
        self._store = store
        self._broker = broker
        self._position: Position | None = None
        self._leads = True
        self._adoption = adoption or Adoption(store, broker)

    async def turn(self) -> float:
        """Record one batch; as a follower, look whether the leader still moves."""
        position = await self._store.history.position()
        await self._adoption.settle()
        if not self._leads and position != self._position:
            self._position = position
            return FOLLOW_S
        self._position, self._leads = position, True
        recorded = await self._record(position, BLOCK_MS)
        if not self._leads:
            return FOLLOW_S
        await self._forget()
        if not recorded:
            await self._broker.refresh_epoch()
        return 0.0

    async def _record(self, position: Position, block_ms: int) -> bool:
        """Record a batch; tell whether there was anything."""
        reading = await self._broker.stream.scan(position, BATCH, block_ms=block_ms)
        if reading.end == position:
            return False
        try:
            await self._store.history.record(reading.events, old=position, new=reading.end, unread=reading.unread)
        except Stale:
            log.info("recorder.follows")
            self._leads = False
            return False
        self._position = reading.end
        return True

    async def _forget(self) -> None:
        assert self._position is not None  # set by the turn  # noqa: S101  # tells mypy what the turn guarantees
        settled = await self._broker.settled(self._position)
        while await self._broker.forget(settled, FORGET_BATCH) == FORGET_BATCH:
            pass

    async def finish(self) -> None:
        """Record what is in the stream, so that history is complete when the system has stopped."""
        if self._leads:
            position = await self._store.history.position()
            while await self._record(position, 0):
                position = self._position or position
