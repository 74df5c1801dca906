"""Subscriptions to a state: as it is, then as it becomes, the latest only. Equal ones are read once for all."""

from __future__ import annotations

import asyncio
import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import structlog

from jobs.duty import Duty
from jobs.ending import end
from jobs.errors import QueueQLError

log = structlog.get_logger(__name__)

SHARE = 4
"""Between two readings passes at least so many times the time that one took."""
RETRY_S = 0.5

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class States(ABC, Generic[K, T]):
    """What is watched in this process, by what tells one from the other. What has changed is read again, together."""

    pause_s: float
    """No subscriber gets updates more often than this."""
    pause_max_s: float = math.inf
    """Nor much later, however long reading took."""

    def __init__(self) -> None:
        self._watched: dict[K, weakref.WeakSet[StateSubscription[K, T]]] = {}
        self._changed: set[K] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self.duty = Duty(type(self).__name__)

    @abstractmethod
    async def _read(self, keys: Sequence[K]) -> dict[K, T]:
        """Return how these are now; those that are not there are left out. Raises Unavailable."""

    @abstractmethod
    def _listen(self) -> None:
        """Begin to hear of changes, which `change` is to be called with."""

    @property
    def listening(self) -> bool:
        """Tell whether anything is watched."""
        for key in [key for key, watchers in self._watched.items() if not watchers]:
            del self._watched[key]
        return bool(self._watched)

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return sum(len(watchers) for watchers in self._watched.values())

    def add(self, subscription: StateSubscription[K, T]) -> None:
        """Tell the subscription from now on, and at once, how it is."""
        self._watched.setdefault(subscription.key, weakref.WeakSet()).add(subscription)
        if self._task is None or self._task.done():
            self.duty.start()
            self._task = asyncio.create_task(self._run(), name=f"feed {self.duty.name}")
        self._listen()
        self.change([subscription.key])

    def remove(self, subscription: StateSubscription[K, T]) -> None:
        """Tell it no more."""
        watchers = self._watched.get(subscription.key)
        if watchers is not None:
            watchers.discard(subscription)

    def change(self, keys: Iterable[K] | None = None) -> None:
        """Take in that these have changed, if they are watched; None: all of them."""
        self._changed.update(self._watched if keys is None else keys)
        self.duty.owe()
        self._wake.set()

    async def close(self) -> None:
        """End all subscriptions."""
        await end(self._task)
        self._task = None
        for watchers in list(self._watched.values()):
            for subscription in list(watchers):
                subscription.end()
        self._watched.clear()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.duty.move()
            changed, self._changed = self._changed, set()
            began = clock()
            try:
                await self._tell([key for key in changed if self._watched.get(key)])
            except QueueQLError as error:
                await self._try_again(changed, error)
            except Exception as error:  # the loop serves all subscribers of the process; it must outlive any one fault
                log.exception("feed.state_fault", of=type(self).__name__)
                await self._try_again(changed, error)
            else:
                self._failing = False
                pause_s = min(self.pause_max_s, max(self.pause_s, SHARE * (clock() - began)))
                self.duty.rest(pause_s, more=self._wake.is_set())
                await asyncio.sleep(pause_s)

    async def _tell(self, keys: Sequence[K]) -> None:
        states = await self._read(keys) if keys else {}
        for key in keys:
            for subscription in list(self._watched.get(key, ())):
                subscription.update(states.get(key))

    async def _try_again(self, changed: set[K], error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.warning("feed.state_waits", of=type(self).__name__, reason=str(error))
        for key in changed:
            for subscription in list(self._watched.get(key, ())):
                subscription.fail(error)
        self.duty.rest(RETRY_S, more=True)
        await asyncio.sleep(RETRY_S)
        self.change(changed & self._watched.keys())


class StateSubscription(Generic[K, T]):
    """A state as it is, then as it becomes; only the latest where it changes faster than it is read.

    Iterate over it; `aclose()` or dropping it ends it.
    """

    def __init__(
        self, states: States[K, T], key: K, *, face: Callable[[T], object], missing: QueueQLError | None
    ) -> None:
        """Subscribe. `face` is what of a state is compared; `missing` is raised where there is none to begin with.

        Where `missing` is None, the first one is waited for.
        """
        self.key = key
        self._states = states
        self._face = face
        self._missing = missing
        self._latest: list[T] = []
        self._shown: list[object] = []
        self._fault: Exception | None = None
        self._wake = asyncio.Event()
        self._ended = False
        states.add(self)

    def __aiter__(self) -> StateSubscription[K, T]:
        return self

    async def __anext__(self) -> T:
        """Wait for the next state. Raises at the first one what `missing` is, and Unavailable; later on it waits."""
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            latest, self._latest = self._latest, []
            fault, self._fault = self._fault, None
            if latest and [self._face(latest[0])] != self._shown:
                self._shown = [self._face(latest[0])]
                return latest[0]
            if fault is not None and not self._shown:
                await self.aclose()
                raise fault
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the subscription and free what it holds."""
        self._states.remove(self)
        self.end()

    # What the states call

    def update(self, state: T | None) -> None:
        """Take in how it is; None: it is not there."""
        if state is None:
            self._fault = self._missing
        else:
            self._latest, self._fault = [state], None
        self._wake.set()

    def fail(self, fault: Exception) -> None:
        """Take in that it cannot be read now."""
        self._fault = fault
        self._wake.set()

    def end(self) -> None:
        """Let the iteration end."""
        self._ended = True
        self._latest = []
        self._wake.set()
