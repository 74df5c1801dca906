"""Windows of lists: from the arguments of a connection to a page of the doors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from jobs.errors import InvalidCursor, InvalidOption
from jobs.page import PAGE_DEFAULT, PAGE_MAX, Page, PageRequest

T = TypeVar("T")


def page_request(first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """Read the four arguments of a connection. Raises InvalidOption for a window that makes no sense."""
    if first is not None and last is not None:
        raise InvalidOption("Give `first` or `last`, not both.", path=("last",))
    name, limit = ("last", last) if last is not None else ("first", first)
    if limit is not None and not 1 <= limit <= PAGE_MAX:
        raise InvalidOption(f"`{name}` must be between 1 and {PAGE_MAX}.", path=(name,))
    return PageRequest(limit=limit or PAGE_DEFAULT, after=after, before=before, backward=last is not None)


def page_of(items: Sequence[T], key: Callable[[T], tuple[int, ...]], request: PageRequest) -> Page[T]:
    """Cut a window out of a short list that is in memory and sorted by `key`. Raises InvalidCursor."""
    low, high = request.places(_decode)
    within = [item for item in items if (low is None or key(item) > low) and (high is None or key(item) < high)]
    window = within[-request.limit :] if request.backward else within[: request.limit]
    if not window:
        return Page(items=[], cursors=[], has_next=high is not None, has_previous=low is not None)
    return Page(
        items=window,
        cursors=[_encode(key(item)) for item in window],
        has_next=key(window[-1]) < key(items[-1]),
        has_previous=key(window[0]) > key(items[0]),
    )


def _encode(key: tuple[int, ...]) -> str:
    return base64.urlsafe_b64encode("k1:{}".format(":".join(map(str, key))).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[int, ...]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        version, *parts = text.split(":")
        if version == "k1" and parts:
            return tuple(int(part) for part in parts)
    except (binascii.Error, ValueError):
        pass
    raise InvalidCursor("This cursor does not belong to this list.")
