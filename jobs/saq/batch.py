"""Gathers what callers ask for, one by one, into calls that do many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")

MOST = 500
"""Items in one call."""


class Batch(Generic[A, B]):
    """Callers of one turn of the loop share a call, and so do those who come while a call is under way."""

    def __init__(self, run: Callable[[list[A]], Awaitable[Sequence[B]]]) -> None:
        self._run = run
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: A) -> B:
        """Do it together with others. Raises what the call raises, for each of its callers."""
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers = await self._run([item for item, _ in group])
            except Exception as error:  # each caller gets it
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(group, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
