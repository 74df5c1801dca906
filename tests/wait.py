"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Return once the condition holds. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {within_s} s: {condition}"
        await asyncio.sleep(0.02)


async def eventually(ask: Callable[[], Awaitable[T | None]], *, within_s: float = 10.0, what: str = "") -> T:
    """Ask until the answer holds (is true), and return it. Raises AssertionError at the deadline."""
    deadline = time.monotonic() + within_s
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"waited {within_s} s in vain for {what or ask}"
        await asyncio.sleep(0.02)
    return answer
