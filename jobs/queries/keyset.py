"""Pages of short lists that are in memory anyway: by a name that orders them, with opaque cursors."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from jobs.errors import InvalidCursor
from jobs.page import Page, PageRequest

_VERSION = "n1:"


def encode(name: str) -> str:
    """Return the cursor of the item with this name."""
    return base64.urlsafe_b64encode(f"{_VERSION}{name}".encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """Return the name that a cursor stands for. Raises InvalidCursor."""
    try:
        text = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        text = ""
    if not text.startswith(_VERSION):
        raise InvalidCursor("The cursor is not one of this list.")
    return text.removeprefix(_VERSION)


def window(names: Sequence[str], page: PageRequest) -> Page[str]:
    """Cut the page that was asked for out of sorted names. Raises InvalidCursor."""
    after, before = page.places(decode)
    start = 0 if after is None else bisect_right(names, after)
    end = len(names) if before is None else bisect_left(names, before)
    end = max(start, end)
    if page.backward:
        first, last = max(start, end - page.limit), end
    else:
        first, last = start, min(end, start + page.limit)
    items = list(names[first:last])
    return Page(
        items=items, cursors=[encode(name) for name in items], has_next=last < len(names), has_previous=first > 0
    )
