"""After a restore: what Redis still has of the time since the backup becomes history again.

A restored database distrusts every Redis (the run_id of its epoch is empty). Before the next epoch begins, jobs that
were accepted after the backup and are in Redis still are accepted anew, and the recorder reads what is left in the
stream. So what ended since is not pushed again, as far as the stream tells of it; what it does not tell of runs again.
"""

from __future__ import annotations

import asyncio

import structlog

from jobs.broker import Broker
from jobs.broker.spec import specs
from jobs.event import Position
from jobs.job import Durability
from jobs.store import Accepted, Store

log = structlog.get_logger(__name__)

BATCH = 1_000


class Adoption:
    """Looks whether the store was restored, and takes in what it does not know. Any number may do so at a time.

    The loops of one process share one, so that it is done and told once there.
    A database without any epoch, beside a Redis that has jobs, is one that was restored to nothing.
    """

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._settled: int | None = None
        """The epoch that was found without a run_id, and for which that was done."""
        self._settling = asyncio.Lock()
        self._until: tuple[int, Position] | None = None
        """For an epoch, where the stream ended once that was done."""

    async def settle(self) -> None:
        """Return once history has the jobs that only Redis knew. Raises Unavailable; to be called again then.

        Whoever records calls it after each look at where history ends: a restore may come at any moment (`--force`).
        """
        number = await self._restored()
        if number is None or number == self._settled:
            return
        async with self._settling:
            if number != self._settled:
                await self._adopt()
                self._settled = number

    async def is_settled(self) -> bool:
        """Tell whether history has also all events that were in the stream. Raises Unavailable."""
        await self.settle()
        number = await self._restored()
        if number is None:
            return True
        if self._until is None or self._until[0] != number:
            self._until = number, await self._broker.stream.last()
            await self._tell_gap()
        _, until = self._until
        return not until.ms or await self._store.history.position() >= until

    async def _restored(self) -> int | None:
        """Return the epoch of a store that trusts no Redis, None where it trusts one."""
        number, run_id = await self._store.epoch.current()
        return None if run_id else number

    async def _adopt(self) -> None:
        adopted, left, cursor = 0, 0, 0
        while True:
            cursor, ids = await self._broker.ids(cursor=cursor, limit=BATCH)
            known = await self._store.search.known_among(ids)
            found = await specs(self._broker, [job_id for job_id in ids if job_id not in known])
            stored = [one for one in found if one.durability is Durability.STORE]  # the others come with their events
            # Where only the replaced database had the arguments, the job must not run without them.
            outcomes = await self._store.accept.adopt([one for one in stored if not one.payload_bytes])
            taken = sum(isinstance(one, Accepted) for one in outcomes)
            adopted, left = adopted + taken, left + len(stored) - taken
            if cursor == 0:
                break
        if adopted or left:
            log.warning("store.adopted", jobs=adopted, left=left)

    async def _tell_gap(self) -> None:
        first, position = await self._broker.stream.first(), await self._store.history.position()
        if first and first > position and not await self._broker.stream.is_whole():
            log.warning("store.restored_with_a_gap", recorded=str(position), next=str(first))
