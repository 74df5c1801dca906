"""Starts Redis, the database and every process, keeps them running, and stops them in order."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from jobs.embedded import EmbeddedRedis
from jobs.errors import StartError
from jobs.settings import PREFIX, Settings
from jobs.store.config import database_url
from jobs.tasks import DEMO
from jobs.up.access import Access, prepare
from jobs.up.address import ask, free_port, reachable
from jobs.up.folder import DataFolder
from jobs.up.stop import Stop
from jobs.up.supervisor import Child, cancel, keep

READY_TIMEOUT_S = 60.0
SERVE_STOP_S = 15.0
"""How long the API and the services may take to end in order; workers have the settings' grace on top."""


@dataclass(frozen=True)
class Running:
    """What somebody needs to know who has just started QueueQL."""

    settings: Settings
    """With every address filled in."""
    url: str
    """Where the API is, as this machine reaches it."""
    access: Access
    started_in_s: float


async def up(settings: Settings, *, announce: Callable[[Running], None], farewell: Callable[[], None]) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then stop it in order: workers, services, API, Redis.

    `announce` is called once everything answers, `farewell` when the stop begins after that.
    Raises StartError, or ChildFailed where a process does not come up.
    """
    with Stop() as stop:
        try:
            async with AsyncExitStack() as stack:
                announce(await _start(settings, stack, stop))
                stack.callback(farewell)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stop.requested:
                raise


async def _start(settings: Settings, stack: AsyncExitStack, stop: Stop) -> Running:
    """Start everything; what has been started is on the stack, which stops it the other way round."""
    began = time.monotonic()
    port = free_port(settings.host, settings.port)
    folder = DataFolder(settings.data)
    folder.take()
    stack.callback(folder.release)
    redis_url = settings.redis_url or await _start_redis(folder, stack)
    settings = settings.model_copy(
        update={
            "port": port,
            "data": folder.path,
            "tasks": settings.tasks or (DEMO,),
            "redis_url": redis_url,
            "database_url": database_url(settings),
        }
    )
    access = await prepare(settings, folder)
    children: list[Child] = []
    for stage in _stages(settings):
        stack.push_async_callback(_stop_all, stage, stop)
        for child in stage:
            await child.start()
        children += stage
    await _until_ready(children, settings)
    for child in children:
        child.keep()
    url = f"http://{reachable(settings.host)}:{settings.port}"
    return Running(settings, url, access, time.monotonic() - began)


async def _start_redis(folder: DataFolder, stack: AsyncExitStack) -> str:
    server = EmbeddedRedis(folder.redis)
    await server.start()
    stack.push_async_callback(server.stop)
    stack.push_async_callback(cancel, asyncio.create_task(keep("redis", server.wait, server.restart)))
    return server.url


def _stages(settings: Settings) -> list[list[Child]]:
    """Make the processes, in the order of their start."""
    environ = child_environ(settings, os.environ)
    # They find packages as this process does: the user's folder comes first only where it is first here.
    flags = [] if sys.path[0] == str(Path.cwd()) else ["-P"]

    def child(name: str, command: str, stop_s: float) -> Child:
        return Child(name, [sys.executable, *flags, "-m", "queueql", command], environ, stop_s=stop_s)

    numbers = range(1, settings.workers + 1)
    return [
        [child("api", "api", SERVE_STOP_S)],
        [child("services", "services", SERVE_STOP_S)],
        [child(f"worker {number}", "worker", settings.grace_s + SERVE_STOP_S) for number in numbers],
    ]


def child_environ(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Turn the settings into variables, for the processes that read them again; without the admin token."""
    values = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for name, value in settings.model_dump(exclude={"admin_token"}).items():
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        if text:
            values[PREFIX + name.upper()] = text
    return values


async def _stop_all(children: list[Child], stop: Stop) -> None:
    await asyncio.gather(*(child.stop(stop.hurry) for child in children))


async def _until_ready(children: list[Child], settings: Settings) -> None:
    """Wait for the API's own word that all is well. Raises ChildFailed as soon as one process ends."""
    ready = asyncio.create_task(_ready(settings))
    ends = [asyncio.create_task(child.ended()) for child in children]
    try:
        done, _ = await asyncio.wait({ready, *ends}, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end in done:
                raise end.result()
        if ready not in done:
            _, why = await ask(settings.host, settings.port, "/readyz")
            raise StartError(f"Not ready after {READY_TIMEOUT_S:.0f} s: {why or 'the API does not answer.'}")
    finally:
        for task in (ready, *ends):
            task.cancel()


async def _ready(settings: Settings) -> None:
    while (await ask(settings.host, settings.port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(0.02)
