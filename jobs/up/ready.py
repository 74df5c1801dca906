"""Waiting until everything that was started does its work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

from jobs.broker import Broker
from jobs.errors import StartError, Unavailable
from jobs.settings import Settings
from jobs.up.address import ask
from jobs.up.supervisor import Child

TIMEOUT_S = 60.0
_PAUSE_S = 0.02


async def until_working(children: Sequence[Child], settings: Settings) -> None:
    """Return once every worker among these has published its tasks and has its lease.

    Raises ChildFailed as soon as a process ends by itself, StartError where it takes longer than `TIMEOUT_S`.
    """
    await _unless_one_ends(children, _all_have_leases(children, settings), "the workers have not taken up their work.")


async def until_answering(children: Sequence[Child], settings: Settings) -> None:
    """Return once the API says that it is ready. Raises as `until_working` does."""
    await _unless_one_ends(children, _api_answers(settings), "the API does not say that it is ready.")


async def _unless_one_ends(children: Sequence[Child], condition: Coroutine[Any, Any, None], why: str) -> None:
    holds = asyncio.create_task(condition)
    ends = [asyncio.create_task(child.failed()) for child in children]
    try:
        done, _ = await asyncio.wait({holds, *ends}, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end in done:
                raise end.result()
        if holds not in done:
            raise StartError(f"Not ready after {TIMEOUT_S:.0f} s: {why}")
        await holds
    finally:
        for task in (holds, *ends):
            task.cancel()


async def _api_answers(settings: Settings) -> None:
    while (await ask(settings.host, settings.port, "/readyz"))[0] != 200:  # noqa: ASYNC110  # it is another process
        await asyncio.sleep(_PAUSE_S)


async def _all_have_leases(children: Sequence[Child], settings: Settings) -> None:
    workers = [child for child in children if child.name.startswith("worker")]
    leased: set[int] = set()
    broker = await Broker.open(settings.redis_url, settings)
    try:
        while any(child.pid not in leased for child in workers):
            await asyncio.sleep(_PAUSE_S)
            with contextlib.suppress(Unavailable):
                leased = {worker.info.pid for worker in await broker.workers()}
    finally:
        await broker.close()
