"""Queues as they stand now. The doors read queues through this."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobs.broker import Broker
from jobs.job import FINAL, State
from jobs.recent import Recent
from jobs.store import Store


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: jobs that wait for workers which serve it."""

    name: str
    counts: dict[State, int]
    """Jobs in each state that is not final, right now."""


class Lines:
    """Reads queues with their live counts. Raises Unavailable."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        self._served = Recent(self._read_served)

    async def names(self) -> list[str]:
        """Return the names of all queues that ever had a job, in order."""
        return sorted(await self._store.search.queues())

    async def known(self) -> list[str]:
        """Return the names of all queues, those too that never had a job but are served by a worker, in order."""
        return sorted({*await self._store.search.queues(), *await self._served.get()})

    async def _read_served(self) -> set[str]:
        workers = await self._broker.workers()
        return {name for one in workers for name in (one.vitals.queues if one.vitals else one.info.queues)}

    async def read(self, names: Sequence[str]) -> list[Queue]:
        """Return queues of which it is known that they exist."""
        counts = await self._broker.counts(names)
        return [_queue(name, counts.get(name, {})) for name in names]


def _queue(name: str, known: dict[State, int]) -> Queue:
    return Queue(name=name, counts={state: known.get(state, 0) for state in State if state not in FINAL})
