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
        self.stopping = False
        """Whether the server is about to stop: clients should go elsewhere."""

    def drain(self) -> None:
        """Say that the server is about to stop. Streams go on."""
        self.stopping = True

    def stop(self) -> None:
        """End all streams."""
        self.stopping = True
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
