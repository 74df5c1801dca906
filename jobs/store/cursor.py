"""Cursors and pages by keyset: a cursor holds a place in one list in one order, and is opaque to clients."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from jobs.errors import InvalidCursor
from jobs.page import Direction, Page, PageRequest
from jobs.store.database import Row

T = TypeVar("T")

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


class Keyset:
    """SQL of a page: conditions, order and limit over a column that is unique."""

    def __init__(self, column: str, direction: Direction, page: PageRequest) -> None:
        self._page = page
        self._column = column
        self._up = (direction is Direction.ASC) is not page.backward
        """Whether the search goes from small to great; a page from the end is searched backwards."""
        ascending = direction is Direction.ASC
        self.after = f"{column} {'>' if ascending else '<'} "
        self.before = f"{column} {'<' if ascending else '>'} "
        self.towards = f"{column} {'<=' if self._up else '>='} "
        """Condition that the search goes no further than a place, that place included."""
        self._order = f"ORDER BY {column} {'ASC' if self._up else 'DESC'}"
        self.order = f"{self._order} LIMIT {page.limit + 1:d}"

    def nth(self, number: int) -> str:
        """Order and limit that give the n-th row alone, of those that the search would look at."""
        return f"{self._order} LIMIT 1 OFFSET {number - 1:d}"

    def first_of(self, places: Sequence[str]) -> str | None:
        """Return the place that the search comes to first."""
        if not places:
            return None
        return min(places) if self._up else max(places)

    def merge(self, rows: Sequence[Row], place: Callable[[Row], str], reached: str | None) -> list[Row]:
        """Put rows of several searches in order, each once, up to where all of them came."""
        unique = {place(row): row for row in rows}
        ordered = sorted(unique, reverse=not self._up)
        if reached is not None:
            ordered = [one for one in ordered if (one <= reached if self._up else one >= reached)]
        return [unique[one] for one in ordered[: self._page.limit + 1]]

    def page(
        self,
        rows: Sequence[Row],
        read: Callable[[Row], T | None],
        cursor: Callable[[Row], str],
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
