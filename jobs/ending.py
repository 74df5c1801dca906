"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.05


async def end(task: asyncio.Task[Any] | None, *, again_s: float = AGAIN_S) -> None:
    """Cancel a task until it has ended, and wait for that. What it returns or raises is dropped.

    What it does about its end is cut off by the next cancellation: `again_s` is how long that may take.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which redis-py sends every command with,
    swallows a cancellation that arrives at the moment when it is done.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)
