"""What the workers are given to do."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from jobs import Context, task
from jobs.retry import fixed

BUSY_S = 0.003
VARIABLE = "FIGURES_BLOCKED"
"""Path of the file in which a task notes when it blocked its process: process id, begin and end."""


@task(queue="fast")
async def steady() -> None:
    """Use a processor a little, and wait a little."""
    until_s = time.thread_time() + BUSY_S
    while time.thread_time() < until_s:
        pass
    await asyncio.sleep(0.01)


@task(queue="slow")
async def long(seconds: float) -> None:
    await asyncio.sleep(seconds)


@task(queue="slow", max_attempts=2, backoff=fixed(8.0))
async def unlucky(ctx: Context) -> None:
    """Fails once."""
    if ctx.attempt == 1:
        raise ValueError("as planned")


@task(queue="fast", max_attempts=1)
async def hopeless() -> None:
    raise ValueError("as planned")


@task(queue="slow")
async def block(seconds: float) -> None:
    """Do what a task must not do: hold up everything else in its process."""
    begun_s = time.time()
    time.sleep(seconds)  # noqa: ASYNC251  # as its name says
    with Path(os.environ[VARIABLE]).open("a") as file:  # noqa: ASYNC230  # as above
        file.write(f"{os.getpid()} {begun_s} {time.time()}\n")
