"""What lists are asked for and answer with: order and pages by keyset, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from jobs.errors import InvalidCursor

T = TypeVar("T")

PAGE_DEFAULT = 20
PAGE_MAX = 100


class Direction(StrEnum):
    """Order of a list."""

    ASC = "ASC"
    """The smallest or oldest first."""
    DESC = "DESC"
    """The largest or newest first."""


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A window of a list: `limit` items after or before a cursor; `backward` counts from the end."""

    limit: int = PAGE_DEFAULT
    after: str | None = None
    before: str | None = None
    backward: bool = False

    def places(self, read: Callable[[str], T]) -> tuple[T | None, T | None]:
        """Return what the two cursors stand for. Raises InvalidCursor, with the name of the one that is at fault."""
        found: list[T | None] = []
        for name, cursor in (("after", self.after), ("before", self.before)):
            try:
                found.append(None if cursor is None else read(cursor))
            except InvalidCursor as error:
                raise InvalidCursor(str(error), path=(name,)) from None
        return found[0], found[1]


class Counted(msgspec.Struct, frozen=True):
    """How many there are. Huge lists are not counted to their end."""

    value: int
    whole: bool
    """Whether that is all of them; there may be more otherwise."""


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A window of a list, in the order of the list, with one cursor for each item."""

    items: list[T]
    cursors: list[str]
    has_next: bool = False
    has_previous: bool = False
    backward: bool = False
    """Whether it was searched from its end."""
    reached: str | None = None
    """Cursor up to which was searched, where a search ended before the page was full; it goes on from there."""
