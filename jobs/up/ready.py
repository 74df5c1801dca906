"""Waiting until everything that was started does its work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from jobs.broker import Broker
from jobs.errors import StartError, Unavailable
from jobs.settings import Settings
from jobs.up.address import ask
from jobs.up.supervisor import Child

TIMEOUT_S = 60.0
_PAUSE_S = 0.02


async def until_ready(children: Sequence[Child], settings: Settings) -> None:
    """Return once the API says that it is ready and every worker has its lease.

    Raises ChildFailed as soon as a process ends, StartError where it takes longer than `TIMEOUT_S`.
    """
    ready = asyncio.create_task(_ready(children, settings))
    ends = [asyncio.create_task(child.ended()) for child in children]
    try:
        done, _ = await asyncio.wait({ready, *ends}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end in done:
                raise end.result()
        if ready not in done:
            _, why = await ask(settings.host, settings.port, "/readyz")
            raise StartError(f"Not ready after {TIMEOUT_S:.0f} s: {why or 'the API does not answer.'}")
        await ready
    finally:
        for task in (ready, *ends):
            task.cancel()


async def _ready(children: Sequence[Child], settings: Settings) -> None:
    while (await ask(settings.host, settings.port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(_PAUSE_S)
    missing = {child.pid for child in children if child.name.startswith("worker")}
    broker = await Broker.open(settings.redis_url, settings)
    try:
        while missing:
            with contextlib.suppress(Unavailable):
                missing -= {worker.info.pid for worker in await broker.workers()}
            await asyncio.sleep(_PAUSE_S if missing else 0)
    finally:
        await broker.close()
