"""How much room Redis has. New jobs are refused before it is full, so that those it has can end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from jobs.errors import QueueFull

if TYPE_CHECKING:
    from jobs.broker.connection import Connection

log = structlog.get_logger(__name__)

LOOK_S = 1.0
FULL = 0.8
"""The part of maxmemory beyond which no new jobs are taken in."""
JOB_BYTES = 1_000
"""What a job takes beside its text, about."""
COPIES = 2
"""A job whose only home is Redis is there twice, in its hash and in its first event."""


class Memory(msgspec.Struct, frozen=True):
    """The memory of a Redis."""

    used_bytes: int
    max_bytes: int
    """0: no limit."""
    policy: str
    """What it does when it is full."""

    @property
    def share(self) -> float:
        """0 to 1, or more; 0 where there is no limit."""
        return self.used_bytes / self.max_bytes if self.max_bytes else 0.0


class Room:
    """Looks at the memory of Redis, at most once a second, and adds what was pushed meanwhile."""

    def __init__(self, connection: Connection, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._memory: Memory | None = None
        self._looked_at = 0.0
        self._added = 0
        self._evicts = False

    async def look(self) -> Memory:
        """Return how it is, as of a second ago at most. Raises BrokerUnavailable."""
        now = self._monotonic()
        if self._memory is None or now - self._looked_at >= LOOK_S:
            self._looked_at = now
            info = await self._connection.ask(self._connection.client.info("memory"))
            self._added = 0
            # As Redis counts: buffers of replicas and of the append-only file are beside the limit.
            used = int(info["used_memory"]) - int(info.get("mem_not_counted_for_evict", 0))
            self._memory = Memory(used, int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction")))
            self._note_policy(self._memory)
        return msgspec.structs.replace(self._memory, used_bytes=self._memory.used_bytes + self._added)

    def _note_policy(self, memory: Memory) -> None:
        evicts = memory.policy != "noeviction"
        if evicts and not self._evicts:
            log.error("broker.evicts", policy=memory.policy)
        self._evicts = evicts

    async def check(self) -> None:
        """Raise QueueFull where no new jobs are to be taken in. Raises BrokerUnavailable."""
        memory = await self.look()
        if memory.share > FULL:
            raise QueueFull(
                f"Redis is {memory.share:.0%} full; new jobs are taken in below {FULL:.0%} of its maxmemory."
            )

    def add(self, jobs: int, text_bytes: int) -> None:
        """Note that jobs were pushed."""
        self._added += jobs * JOB_BYTES + COPIES * text_bytes
