"""Where the items of a batch come from: a sequence, anything that can be iterated, or pages with a cursor."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence, Sized
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")

Fetched = tuple[Sequence[T], Any]
"""A page: its items, and the cursor of the next page (any JSON value) or None where it is the last."""
Fetch = Callable[[Any], Fetched[T] | Awaitable[Fetched[T]]]
"""Gets a page by its cursor, None for the first."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a batch has come to."""

    done: int = 0
    """Items so far."""
    size: int = 0
    """Items in a chunk."""
    cursor: Any = None
    """Cursor of the next page."""


class Read(msgspec.Struct, Generic[T], frozen=True):
    """The next items."""

    items: Sequence[T]
    is_last: bool
    """Nothing comes after them. Where that is not known, no items come next."""
    cursor: Any = None


class Source(Protocol[T]):
    """Reads items in an order that is the same in every attempt."""

    total: int | None
    """How many there are, where that is known."""

    def read(self, place: Place) -> Read[T] | Awaitable[Read[T]]:
        """Read the items of the next chunk. Calls follow one another."""


class Listed(Generic[T]):
    """A sequence."""

    def __init__(self, items: Sequence[T]) -> None:
        self.total: int | None = len(items)
        self._items = items

    def read(self, place: Place) -> Read[T]:
        """Cut out a slice."""
        end = place.done + place.size
        return Read(self._items[place.done : end], end >= len(self._items))


class Iterated(Generic[T]):
    """An iterable; what earlier attempts have done is passed over."""

    def __init__(self, items: Iterable[T]) -> None:
        self.total: int | None = len(items) if isinstance(items, Sized) else None
        self._items = items
        self._iterator: Iterator[T] | None = None

    def read(self, place: Place) -> Read[T]:
        """Draw as many as there are to be in a chunk."""
        if self._iterator is None:
            self._iterator = islice(self._items, place.done, None)
        items = list(islice(self._iterator, place.size))
        return Read(items, len(items) < place.size)


class AsyncIterated(Generic[T]):
    """The same for an asynchronous iterable."""

    def __init__(self, items: AsyncIterable[T]) -> None:
        self.total: int | None = None
        self._items = items
        self._iterator: AsyncIterator[T] | None = None

    async def read(self, place: Place) -> Read[T]:
        """Draw as many as there are to be in a chunk."""
        if self._iterator is None:
            self._iterator = aiter(self._items)
            await self._draw(self._iterator, place.done)
        items = await self._draw(self._iterator, place.size)
        return Read(items, len(items) < place.size)

    async def _draw(self, iterator: AsyncIterator[T], most: int) -> list[T]:
        items: list[T] = []
        while len(items) < most:
            try:
                items.append(await anext(iterator))
            except StopAsyncIteration:
                break
        return items


class Paged(Generic[T]):
    """Pages that a function fetches, each by the cursor that came with the one before."""

    def __init__(self, fetch: Fetch[T]) -> None:
        self.total: int | None = None
        self._fetch = fetch

    def read(self, place: Place) -> Read[T] | Awaitable[Read[T]]:
        """Fetch a page."""
        page = self._fetch(place.cursor)
        return _page(page) if isinstance(page, tuple) else _awaited(page)


def source_of(items: Iterable[T] | AsyncIterable[T]) -> Source[T]:
    """Choose how to read. Raises TypeError for what has no order that lasts."""
    if isinstance(items, AbstractSet) and not hasattr(items, "__reversed__"):  # a dict's keys have an order
        raise TypeError("A set has another order in every process: give its items as sorted(items).")
    if isinstance(items, Sequence):
        return Listed(items)
    if isinstance(items, Iterable):
        return Iterated(items)
    return AsyncIterated(items)


def _page(page: Fetched[T]) -> Read[T]:
    items, cursor = page
    return Read(items, cursor is None, cursor)


async def _awaited(page: Awaitable[Fetched[T]]) -> Read[T]:
    return _page(await page)
