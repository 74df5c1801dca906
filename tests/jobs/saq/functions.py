"""SAQ functions, and how often a worker that runs them does its upkeep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

TIMERS: Any = {"abort": 0.1, "sweep": 0.2, "schedule": 1, "worker_info": 1}


async def add(ctx: Any, *, a: int, b: int = 1) -> int:
    return a + b


async def who(ctx: Any) -> list[str]:
    return [ctx["job"].key, ctx["job"].function, ctx["job"].queue.name, ctx["worker"].id]


def in_thread(_context: Any, *, text: str) -> str:
    return text.upper()


async def fail(_: Any) -> None:
    raise ValueError("oops")


async def endless(_: Any) -> None:
    await asyncio.Event().wait()


async def nan(_: Any) -> float:
    return float("nan")


async def half(ctx: Any) -> None:
    ctx["job"].meta["seen"] = True
    await ctx["job"].update(progress=0.5)
    await asyncio.Event().wait()


FUNCTIONS: list[Callable[..., Any]] = [add, who, in_thread, fail, endless, nan, half]
