"""Relay connections over the pages of the doors, and counts that may be lower bounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import strawberry

from api.schema.scalars import Cursor
from jobs.page import Page

T = TypeVar("T")


@strawberry.enum
class CountPrecision(StrEnum):
    """How to read a count."""

    EXACT = "EXACT"
    """There are exactly so many."""
    AT_LEAST = "AT_LEAST"
    """There are so many or more; counting went no further."""


@strawberry.type
class Count:
    """A number of objects. Counting ends at 1,000 where nothing else is said, and where a search is cut short."""

    value: int
    """The number that was counted."""
    precision: CountPrecision
    """Whether that is all of them."""


@strawberry.type
class PageInfo:
    """Where a page stands in its list."""

    has_next_page: bool
    """Whether the list goes on behind this page."""
    has_previous_page: bool
    """Whether the list has something before this page."""
    start_cursor: Cursor | None
    """Cursor of the first item of this page."""
    end_cursor: Cursor | None
    """Cursor of the last item of this page; where the search was cut short, of the last item that it looked at."""
    is_cut_short: bool
    """Whether the search ended before the page was full, since few of very many items fit; it goes on from
    `endCursor`, or from `startCursor` where it goes backwards."""


@strawberry.type
class Edge(Generic[T]):
    """One item of a list, with its place in it."""

    node: T
    """The item."""
    cursor: Cursor
    """Its place; goes into `after` or `before`."""


@dataclass(frozen=True, slots=True)
class Place:
    """An item of a page and its cursor; what an edge reads."""

    node: Any
    cursor: str


def edges(root: strawberry.Parent[Page[Any]]) -> list[Any]:
    """The items of this page with their cursors."""
    return [Place(node, cursor) for node, cursor in zip(root.items, root.cursors, strict=True)]


def page_info(root: strawberry.Parent[Page[Any]]) -> PageInfo:
    """Where this page stands in the list."""
    start, end = (root.cursors[0], root.cursors[-1]) if root.cursors else (None, None)
    if root.reached is not None:
        start, end = (root.reached, end) if root.backward else (start, root.reached)
    return PageInfo(
        has_next_page=root.has_next,
        has_previous_page=root.has_previous,
        start_cursor=None if start is None else Cursor(start),
        end_cursor=None if end is None else Cursor(end),
        is_cut_short=root.reached is not None,
    )


@strawberry.type
class Connection(Generic[T]):
    """A page of a list."""

    edges: list[Edge[T]] = strawberry.field(resolver=edges, graphql_type=list[Edge[T]])
    """The items of this page with their cursors."""
    items: list[T] = strawberry.field(name="nodes")
    """The items of this page."""
    page_info: PageInfo = strawberry.field(resolver=page_info)
    """Where this page stands in the list."""
