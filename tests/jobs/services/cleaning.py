"""What tests of the cleaner look at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from jobs.clock import now_ms
from jobs.retention import Kind, Standing
from jobs.store import Store
from tests.jobs.store.past import left


def ago(seconds: float) -> int:
    return now_ms() - int(seconds * 1000)


async def standing(store: Store, kind: Kind, queue: str = "") -> Standing:
    (one,) = [one for one in await store.retention.standing() if (one.policy.kind, one.policy.queue) == (kind, queue)]
    return one


async def all_ran(store: Store) -> bool:
    return all(one.ran_ms for one in await store.retention.standing())


async def wait_for(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


async def has_run(store: Store, kind: Kind, queue: str) -> bool:
    return (await standing(store, kind, queue)).ran_ms is not None


async def are_gone(store: Store, specs: list[Any]) -> bool:
    return not await left(store, specs)
