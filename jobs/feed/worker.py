"""Subscriptions to workers: how they are now, as often as they say so."""

from __future__ import annotations

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from jobs.duty import Duty
from jobs.ending import end
from jobs.errors import NotFound, QueueQLError
from jobs.roster import Roster, Worker

log = structlog.get_logger(__name__)

READ_EVERY_S = 1.0
"""Workers say no more often than this how they are."""

T = TypeVar("T")


class WorkerSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that were alive at one moment."""

    workers: Sequence[Worker]
    """The longest running of them."""
    total: int
    """How many there were in all."""


class RollCall:
    """Reads the workers of all subscribers in this process at once, once a second, while there are any."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._subscriptions: weakref.WeakSet[WorkersLive[Any]] = weakref.WeakSet()
        self._task: asyncio.Task[None] | None = None
        self._latest: Sequence[Worker] | None = None
        self._failing = False
        self.duty = Duty("roll call")

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def add(self, subscription: WorkersLive[Any]) -> None:
        """Tell the subscription from now on how the workers are."""
        self._subscriptions.add(subscription)
        if self._task is None or self._task.done():
            self.duty.start()
            self.duty.owe()
            self._task = asyncio.create_task(self._run(), name="feed roll call")
        elif self._latest is not None:
            subscription.update(self._latest)

    def remove(self, subscription: WorkersLive[Any]) -> None:
        """Tell it no more."""
        self._subscriptions.discard(subscription)

    async def close(self) -> None:
        """End all subscriptions."""
        await end(self._task)
        self._task = None
        for subscription in list(self._subscriptions):
            subscription.end()
        self._subscriptions.clear()

    async def _run(self) -> None:
        while self._subscriptions:
            self.duty.move()
            try:
                self._tell(await self._roster.all())
            except QueueQLError as error:
                self._fail(error)
            except Exception as error:  # the loop serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.roll_call_fault")
                self._fail(error)
            else:
                self._failing = False
            self.duty.rest(READ_EVERY_S, more=True)
            await asyncio.sleep(READ_EVERY_S)
        self._latest = None
        self.duty.rest(0.0, more=False)

    def _tell(self, workers: Sequence[Worker]) -> None:
        self._latest = workers
        for subscription in list(self._subscriptions):
            subscription.update(workers)

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.warning("feed.roll_call_waits", subscriptions=self.count, reason=str(error))
        self._latest = None
        for subscription in list(self._subscriptions):
            subscription.fail(error)


class WorkersLive(ABC, Generic[T]):
    """What of the workers is looked at, whenever it is different from before; only the latest.

    Iterate over it; `aclose()` or dropping it ends it.
    """

    def __init__(self, roll_call: RollCall) -> None:
        self._roll_call = roll_call
        self._latest: Sequence[Worker] | None = None
        self._shown: list[T] = []
        self._fault: Exception | None = None
        self._wake = asyncio.Event()
        self._ended = False
        roll_call.add(self)

    @abstractmethod
    def _view(self, workers: Sequence[Worker]) -> T:
        """Return what is shown of the workers."""

    @abstractmethod
    def _is_last(self, view: T) -> bool:
        """Tell whether nothing comes after this. Raises what the subscriber is to hear where it cannot begin."""

    def __aiter__(self) -> WorkersLive[T]:
        return self

    async def __anext__(self) -> T:
        """Wait for the next state. Raises Unavailable where there is none to begin with; later on it waits."""
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            workers, self._latest = self._latest, None
            fault, self._fault = self._fault, None
            if workers is not None:
                view = self._view(workers)
                if [view] != self._shown:
                    return await self._show(view)
            elif fault is not None and not self._shown:
                await self.aclose()
                raise fault
        raise StopAsyncIteration

    async def _show(self, view: T) -> T:
        try:
            last = self._is_last(view)
        except QueueQLError:
            await self.aclose()
            raise
        self._shown = [view]
        if last:
            await self.aclose()
        return view

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._roll_call.remove(self)
        self.end()

    # What the roll call calls

    def update(self, workers: Sequence[Worker]) -> None:
        """Take in how the workers are."""
        self._latest, self._fault = workers, None
        self._wake.set()

    def fail(self, fault: Exception) -> None:
        """Take in that they cannot be read now."""
        self._fault = fault
        self._wake.set()

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._wake.set()


class WorkerSubscription(WorkersLive["Worker | None"]):
    """One worker. The last value is None: it is gone. Raises NotFound where it was not alive to begin with."""

    def __init__(self, roll_call: RollCall, worker_id: str) -> None:
        self._worker_id = worker_id
        super().__init__(roll_call)

    def _view(self, workers: Sequence[Worker]) -> Worker | None:
        return next((worker for worker in workers if worker.id == self._worker_id), None)

    def _is_last(self, view: Worker | None) -> bool:
        if view is None and not self._shown:
            raise NotFound(f'There is no worker "{self._worker_id[:128]}".', path=("id",))
        return view is None


class WorkersSubscription(WorkersLive[WorkerSnapshot]):
    """All workers, of which the first so many are shown."""

    def __init__(self, roll_call: RollCall, limit: int) -> None:
        self._limit = limit
        super().__init__(roll_call)

    def _view(self, workers: Sequence[Worker]) -> WorkerSnapshot:
        return WorkerSnapshot(workers=workers[: self._limit], total=len(workers))

    def _is_last(self, view: WorkerSnapshot) -> bool:
        return False
