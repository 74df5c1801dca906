"""Doing what a plan says: each fault is inflicted, lasts, and is undone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.system.chaos.deployment import Deployment
from tests.system.chaos.embedded import Embedded
from tests.system.chaos.plan import TOGETHER_S, Break, Fault
from tests.system.chaos.replicated import Replicated


@dataclass(frozen=True)
class Inflicted:
    """A fault as it was: when it began, and when it was undone (seconds since 1970)."""

    fault: Fault
    began_s: float
    ended_s: float


class Saboteur:
    """Inflicts the faults of a plan, each at its time."""

    def __init__(self, deployment: Deployment, faults: Sequence[Fault]) -> None:
        self._deployment = deployment
        self._faults = faults
        self.inflicted: list[Inflicted] = []

    async def run(self) -> None:
        """Return when the last fault is undone. Some take longer than planned; what is not planned together waits."""
        began = time.monotonic()
        before: Fault | None = None
        running: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group:
            for fault in self._faults:
                if running and not (before and round(fault.at_s - before.at_s, 1) <= TOGETHER_S):
                    await asyncio.wait(running)
                    running = []
                await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - began)))
                running.append(group.create_task(self._inflict(fault)))
                before = fault

    async def _inflict(self, fault: Fault) -> None:
        began_s = time.time()
        await inflict(self._deployment, fault)
        self.inflicted.append(Inflicted(fault, began_s, time.time()))


async def inflict(on: Deployment, fault: Fault) -> None:
    """Break something, and return when it is whole again as far as that is ours to do."""
    lasts_s = fault.lasts_s
    match fault.what, fault.part:
        case ((Break.FREEZE_SHORT | Break.FREEZE_LONG), part):
            await on.freeze(part, fault.which, lasts_s)
        case Break.KILL, part:
            await on.kill(part, fault.which, lasts_s)
        case Break.TERM, part:
            await on.term(part, fault.which)
        case Break.FLUSH, _:
            await on.flush_redis()
        case Break.OLDER_COPY, _:
            copy = await on.copy()
            await asyncio.sleep(lasts_s)
            await on.replace_redis(copy)
        case Break.SLOW, "sql":
            await on.slow_sql(lasts_s)
        case Break.LOCK, "sql":
            await on.lock_sql(lasts_s)
        case Break.FULL, "disk":
            await on.fill_disk(lasts_s)
        case _:
            await _inflict_on_one_kind(on, fault)


async def _inflict_on_one_kind(on: Deployment, fault: Fault) -> None:
    match on, fault.what, fault.part:
        case Embedded(), (Break.RESTART | Break.KILL_ALL), _:
            await on.restart(fault.lasts_s, kill=fault.what is Break.KILL_ALL)
        case Replicated(), Break.AWAY, "redis":
            await on.stop_redis(fault.lasts_s)
        case Replicated(), Break.AWAY, "sql":
            await on.stop_sql(fault.lasts_s)
        case Replicated(), Break.HOLD, part:
            link = on.link(part, fault.which, fault.link)
            link.hold()
            await asyncio.sleep(fault.lasts_s)
            link.release()
        case Replicated(), Break.RESET, part:
            link = on.link(part, fault.which, fault.link)
            link.refuse()
            await asyncio.sleep(fault.lasts_s)
            link.release()
        case Replicated(), Break.STRAND, part:
            on.link(part, fault.which, fault.link).strand()
        case _:
            raise AssertionError(f"{type(on).__name__} has no {fault.name}.")
