"""Cursors and pages by keyset: a cursor holds a place in one list in one order, and is opaque to clients."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from jobs.errors import InvalidCursor
from jobs.page import Direction, Page, PageRequest

T = TypeVar("T")
R = TypeVar("R")

_VERSION = "1"


class Cursors:
    """Cursors of one list: `kind` names it, and what it is a list of."""

    def __init__(self, kind: str, direction: Direction) -> None:
        self._prefix = f"{_VERSION}.{kind}.{direction}."

    def write(self, place: object) -> str:
        """Make the cursor of a place."""
        return base64.urlsafe_b64encode(f"{self._prefix}{place}".encode()).decode().rstrip("=")

    def read(self, cursor: str) -> str:
        """Read the place. Raises InvalidCursor for one of another list or order, or none of ours."""
        try:
            text = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
        except (binascii.Error, UnicodeError):
            text = ""
        if not text.startswith(self._prefix) or "\x00" in text or self.write(text[len(self._prefix) :]) != cursor:
            raise InvalidCursor("This cursor is not one of this list and order.")
        return text[len(self._prefix) :]


class Bounds(NamedTuple):
    """Between which places is searched. SQLite's index stops at one bound for each side: the nearest must be it."""

    low: str | None = None
    low_too: bool = False
    """Whether that place itself is searched as well."""
    high: str | None = None
    high_too: bool = False

    def above(self, place: str | None, *, too: bool = False) -> Bounds:
        """Leave out what lies below the place."""
        if place is None or (self.low is not None and (self.low, not self.low_too) >= (place, not too)):
            return self
        return self._replace(low=place, low_too=too)

    def below(self, place: str | None, *, too: bool = False) -> Bounds:
        """Leave out what lies above the place."""
        if place is None or (self.high is not None and (self.high, self.high_too) <= (place, too)):
            return self
        return self._replace(high=place, high_too=too)

    def beyond(self, place: str | None, *, up: bool) -> Bounds:
        """Leave out the place and what a search that goes up, or down, has come by before it."""
        return self.above(place) if up else self.below(place)

    def up_to(self, place: str | None, *, up: bool) -> Bounds:
        """Leave out what a search that goes up, or down, comes to behind the place."""
        return self.below(place, too=True) if up else self.above(place, too=True)


class Keyset:
    """SQL of a page: conditions, order and limit over a column that is unique."""

    def __init__(self, column: str, direction: Direction, page: PageRequest) -> None:
        self._page = page
        self.up = (direction is Direction.ASC) is not page.backward
        """Whether the search goes from small to great; a page from the end is searched backwards."""
        ascending = direction is Direction.ASC
        self.after = f"{column} {'>' if ascending else '<'} "
        self.before = f"{column} {'<' if ascending else '>'} "

    def order(self, column: str) -> str:
        """Order and limit that give one row more than the page holds."""
        return f"{self._ordered(column)} LIMIT {self._page.limit + 1:d}"

    def nth(self, number: int, column: str) -> str:
        """Order and limit that give the n-th row alone, of those that the search would look at."""
        return f"{self._ordered(column)} LIMIT 1 OFFSET {number - 1:d}"

    def _ordered(self, column: str) -> str:
        return f"ORDER BY {column} {'ASC' if self.up else 'DESC'}"

    def first(self, places: Iterable[str]) -> list[str]:
        """Return the places that the search comes to first, in its order, each once: one more than the page holds."""
        return sorted(set(places), reverse=not self.up)[: self._page.limit + 1]

    def page(
        self,
        rows: Sequence[R],
        read: Callable[[R], T | None],
        cursor: Callable[[R], str],
        reached: str | None = None,
    ) -> Page[T]:
        """Make the page of rows, read with one more than was asked for; without those that `read` makes None of."""
        more = len(rows) > self._page.limit
        kept = list(rows[: self._page.limit])
        if self._page.backward:
            kept.reverse()
        reached = None if more else reached
        further = more or reached is not None
        after, before = self._page.after is not None, self._page.before is not None
        shown = [(item, cursor(row)) for row in kept if (item := read(row)) is not None]
        return Page(
            items=[item for item, _ in shown],
            cursors=[place for _, place in shown],
            has_next=before if self._page.backward else further,
            has_previous=further if self._page.backward else after,
            backward=self._page.backward,
            reached=reached,
        )
