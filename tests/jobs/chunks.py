"""Where items of batches come from, and a task's log of the chunks it worked on; it may crash between two lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from jobs.source import Fetched


class Crash(Exception):
    """Ends an attempt as the death of a worker would: between two lines of the task."""


class Log:
    """What a task did, over all its attempts."""

    def __init__(self) -> None:
        self.chunks: list[list[Any]] = []
        self.keys: list[str] = []
        self.crash_at: set[int] = set()

    def work(self, chunk: Any) -> None:
        self.chunks.append(list(chunk))
        self.keys.append(chunk.key)
        if len(self.chunks) in self.crash_at:
            raise Crash


async def aiter_of(items: Sequence[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def pages_of(items: Sequence[Any], size: int) -> Any:
    def fetch(cursor: int | None) -> Fetched[Any]:
        begin = cursor or 0
        return items[begin : begin + size], begin + size if begin + size < len(items) else None

    return fetch


def async_pages_of(items: Sequence[Any], size: int) -> Any:
    async def fetch(cursor: int | None) -> Fetched[Any]:
        await asyncio.sleep(0)
        return pages_of(items, size)(cursor)

    return fetch
