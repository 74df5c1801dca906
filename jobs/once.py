"""What several ask for at the same time is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Once(Generic[K, T]):
    """Lets whoever asks for what is being made already wait for that. Keeps nothing that is done."""

    def __init__(self) -> None:
        self._running: dict[K, _Running[T]] = {}

    def waiting(self, key: K) -> Awaitable[T] | None:
        """Return what is being made for a key, None where nothing is."""
        running = self._running.get(key)
        return running.join() if running and not running.is_done else None

    async def get(self, key: K, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what is made for a key. It is given up once nobody waits for it any more."""
        running = self._running.get(key)
        if running is None or running.is_done:
            task = asyncio.create_task(make())
            running = self._running[key] = _Running(task)
            task.add_done_callback(lambda _done: self._forget(key, running))
        return await running.join()

    def _forget(self, key: K, running: _Running[T]) -> None:
        if self._running.get(key) is running:
            del self._running[key]


class _Running(Generic[T]):
    def __init__(self, task: asyncio.Future[T]) -> None:
        self._task = task
        self._waiting = 0
        self._given_up = False

    @property
    def is_done(self) -> bool:
        """Whether it has ended, or is about to."""
        return self._task.done() or self._given_up

    async def join(self) -> T:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._given_up = True
                self._task.cancel()
