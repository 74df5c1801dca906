"""What the workers are given to do."""

from __future__ import annotations

import asyncio

from jobs import Context, task
from jobs.retry import fixed


@task(queue="fast")
async def quick() -> None:
    await asyncio.sleep(0.01)


@task(queue="slow")
async def long(seconds: float) -> None:
    await asyncio.sleep(seconds)


@task(queue="slow", max_attempts=2, backoff=fixed(8.0))
async def flaky(ctx: Context) -> None:
    """Fails once."""
    if ctx.attempt == 1:
        raise ValueError("as planned")


@task(queue="fast", max_attempts=1)
async def failing() -> None:
    raise ValueError("as planned")
