"""Cancelling what the store knows is to be cancelled: the broker is told, as often as it takes.

A request is in the store before the broker hears of it. So it outlives everything that Redis can lose: what waits
there is CANCELLED, a running job is asked, and what Redis does not have is taken in as CANCELLED and never runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.broker import Broker, Cancelling
from jobs.rescue import push_of
from jobs.store import CancelRequest, Store


class Canceller:
    """Brings requests to the broker. Any number may do so at a time: repeating changes nothing."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker

    async def cancel(self, requests: Sequence[CancelRequest]) -> list[Cancelling]:
        """Cancel these runs, also where the broker has never had them, or not any more.

        UNKNOWN is what the store does not know as unfinished either by now. Raises StoreUnavailable,
        BrokerUnavailable, EpochChanged, QueueFull; the reconciler goes on then.
        """
        answers = await self.cancel_known(requests)
        unknown = [number for number, answer in enumerate(answers) if answer is Cancelling.UNKNOWN]
        if unknown:
            missing = [requests[number] for number in unknown]
            await self._take_in([request.id for request in missing])
            # Those that somebody else has pushed meanwhile are runnable.
            for number, answer in zip(unknown, await self.cancel_known(missing), strict=True):
                answers[number] = answer
        return answers

    async def cancel_known(self, requests: Sequence[CancelRequest]) -> list[Cancelling]:
        """Cancel those runs that the broker has. Raises BrokerUnavailable, EpochChanged."""
        return await self._broker.cancel([request.id for request in requests], [request.run for request in requests])

    async def _take_in(self, ids: Sequence[str]) -> None:
        deadline_ms = await self._broker.deadline_ms()  # before they are read: what ends from here on is remembered
        jobs = [job for job in await self._store.search.unfinished_among(ids) if job.cancelled]
        for recovered in (False, True):
            pushes = [push_of(job, recovered=recovered) for job in jobs if bool(job.version) is recovered]
            await self._broker.push(pushes, recovered=recovered, deadline_ms=deadline_ms)
