"""What open streams have in common, over HTTP and over WebSockets: they end when the server or the access does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jobs.errors import Unavailable
from jobs.viewer import Viewer

RECHECK_S = 1.0
"""Open streams ask so often whether their credentials still hold; the answer may come from a cache."""


class Streams:
    """Tells every open stream when the server stops."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether the server stops; nothing new should begin."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End all streams."""
        self._stopping.set()

    async def stopped(self) -> None:
        """Wait until the server stops."""
        await self._stopping.wait()


async def still_signed_in(viewer: Callable[[], Awaitable[Viewer | None]]) -> bool:
    """Tell whether the credentials of a stream still hold. Nobody is sent away because the database is away."""
    try:
        return await viewer() is not None
    except Unavailable:
        return True
