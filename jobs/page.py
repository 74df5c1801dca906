"""What lists are asked for and answer with: filters, order and pages by keyset, no I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from jobs.job import State

T = TypeVar("T")

PAGE_DEFAULT = 20
PAGE_MAX = 100


class JobWhere(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are meant. Every part that is given must hold; within a part any of the values may."""

    states: tuple[State, ...] = ()
    tasks: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_from_ms: int | None = None
    """Created at this time or later."""
    created_until_ms: int | None = None
    """Created before this time."""


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


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A window of a list, in the order of the list, with one cursor for each item."""

    items: list[T]
    cursors: list[str]
    has_next: bool = False
    has_previous: bool = False
