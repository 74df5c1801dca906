"""Tasks that are hard on their worker; for workers in processes of their own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time

from jobs import Context, fixed, task
from jobs.task import Registry

registry = Registry()


@task(registry=registry)
async def pill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(registry=registry)
async def neighbour() -> int:
    await asyncio.sleep(0.3)
    return os.getpid()


@task(registry=registry)
async def small() -> None: ...


@task(registry=registry, timeout=0)
async def wait() -> None:
    await asyncio.Event().wait()


@task(registry=registry, timeout=0)
def wait_in_thread(ctx: Context) -> None:
    while True:
        time.sleep(0.01)
        ctx.check()


@task(registry=registry, timeout=0.5, max_attempts=2, backoff=fixed(0.01))
async def block() -> None:
    while True:
        time.sleep(0.01)  # noqa: ASYNC251  # what this is about


@task(registry=registry, timeout=1)
async def keep_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(60)


@task(registry=registry, isolation="process", timeout=0)
async def apart(ctx: Context) -> None:
    ctx.info("here", pid=os.getpid(), parent=os.getppid())
    await asyncio.Event().wait()
