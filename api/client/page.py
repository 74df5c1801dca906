"""Lists that come in pages."""

from __future__ import annotations

from typing import Any

from api.client.link import Link


async def every(link: Link, query: str, field: str) -> list[dict[str, Any]]:
    """Return all items of a list that is short enough for that. Raises CommandError."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = (await link.run(query, {"after": cursor}))[field]
        items += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return items
        cursor = page["pageInfo"]["endCursor"]
