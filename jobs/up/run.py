"""Starts Redis, the database and every process, keeps them running, and stops them in order."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs.embedded import EmbeddedRedis
from jobs.settings import PREFIX, Settings
from jobs.store.config import database_url
from jobs.tasks import DEMO
from jobs.up.access import Access, prepare
from jobs.up.address import free_port, reachable
from jobs.up.folder import DataFolder
from jobs.up.forked import Forked
from jobs.up.ready import until_answering, until_working
from jobs.up.stop import Stop
from jobs.up.supervisor import Child, cancel, keep

SERVE_STOP_S = 15.0
"""How long the API and the services may take to end in order; workers have their grace on top, the API its draining."""


@dataclass(frozen=True)
class Running:
    """What somebody needs to know who has just started QueueQL."""

    settings: Settings
    """With every address filled in."""
    url: str
    """Where the API is, as this machine reaches it."""
    access: Access


class Screen(Protocol):
    """Where a person reads what happens."""

    def announce(self, running: Running) -> None:
        """Say that everything answers."""

    def farewell(self) -> None:
        """Say that the stop begins."""


def check(settings: Settings) -> None:
    """Raise at once what would keep `up` from starting: PortTaken, DataFolderTaken, SettingInvalid."""
    folder = DataFolder(settings.data)
    if settings.data.exists():  # whoever starts twice hears that, and not that the port is taken
        folder.take()
        folder.release()
    free_port(settings.host, settings.port)
    folder.take()
    folder.release()


def names(settings: Settings) -> list[str]:
    """Names of the processes. The first word is the command."""
    return ["api", "services", *(f"worker {number}" for number in range(1, settings.workers + 1))]


async def up(settings: Settings, screen: Screen, waiting: Mapping[str, Forked]) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then stop it in order: workers, services, API, Redis.

    `waiting` are processes to begin with, by name; those that are missing, and later ones, are started anew.
    Raises StartError, or ChildFailed where a process does not come up.
    """
    with Stop() as stop:
        try:
            async with AsyncExitStack() as stack:
                running = await _start(settings, stack, stop, waiting)
                screen.announce(running)
                stack.callback(screen.farewell)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stop.requested:
                raise
        finally:
            for process in waiting.values():  # a start that failed or was stopped early has not used them all
                process.dismiss()


async def _start(settings: Settings, stack: AsyncExitStack, stop: Stop, waiting: Mapping[str, Forked]) -> Running:
    """Start everything; what has been started is on the stack, which stops it the other way round."""
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
            "log_level": settings.log_level if "log_level" in settings.model_fields_set else "WARNING",
        }
    )
    access = await prepare(settings, folder)
    api, services, workers = _children(settings, waiting)
    for stage in ([api], [services], workers):
        stack.push_async_callback(_stop_all, stage, stop)  # the stack stops the last one first
    for child in (services, *workers):
        await child.start()
    await until_working([services, *workers], settings)
    # Last, so that its schema has the mutations of all tasks from the first request on.
    await api.start()
    await until_answering([services, *workers, api], settings)
    for child in (services, *workers, api):
        child.keep()
    url = f"http://{reachable(settings.host)}:{settings.port}"
    stack.callback(folder.forget_address)
    folder.keep_address(url)
    return Running(settings, url, access)


async def _start_redis(folder: DataFolder, stack: AsyncExitStack) -> str:
    server = EmbeddedRedis(folder.redis)
    await server.start()
    stack.push_async_callback(server.stop)
    stack.push_async_callback(cancel, asyncio.create_task(keep("redis", server.wait, server.restart)))
    return server.url


def _children(settings: Settings, waiting: Mapping[str, Forked]) -> tuple[Child, Child, list[Child]]:
    """Make the processes, without a start: the API, the services, the workers."""
    environ = child_environ(settings, os.environ)
    # They find packages as this process does: the user's folder comes first only where it is first here.
    command = [sys.executable, *([] if sys.path[0] == str(Path.cwd()) else ["-P"]), "-m", "queueql"]

    def child(name: str) -> Child:
        word = name.partition(" ")[0]
        stop_s = SERVE_STOP_S + {"worker": settings.grace_s, "api": settings.drain_s}.get(word, 0.0)
        return Child(name, [*command, word], environ, stop_s=stop_s, waiting=waiting.get(name))

    api, services, *workers = [child(name) for name in names(settings)]
    return api, services, workers


def child_environ(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Turn the settings into variables, for the processes that read them again; without the tokens.

    And without the port of the probe, which they cannot all have, and what only clients need.
    """
    values = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for name, value in settings.model_dump(exclude={"admin_token", "probe_port", "token", "url"}).items():
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        if text:
            values[PREFIX + name.upper()] = text
    return values


async def _stop_all(children: list[Child], stop: Stop) -> None:
    await asyncio.gather(*(child.stop(stop.hurry) for child in children))
