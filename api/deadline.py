"""How long a query or a mutation may take."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from api.execution.operation import Operation, Rejected
from jobs.client import Client
from jobs.viewer import Viewer

log = structlog.get_logger(__name__)

CODE = "DEADLINE_EXCEEDED"
SETTLE_S = 4.0
"""A server that stops waits so long for mutations whose callers were answered already."""

_LATE_MAX = 1_000
_GOES_ON = (
    "What it has begun goes on and may still be done: look before you repeat it, "
    "or repeat it with the same idempotencyKey."
)


class TooLate(Rejected):
    """The operation took longer than it may."""


class Deadline:
    """Runs queries and mutations, and answers for those that take too long.

    A query ends there. A mutation is not cut in the middle, neither here nor when its caller goes away: what it was
    about to acknowledge would be lost. It goes on without its caller, up to 1,000 of them.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._late: set[asyncio.Task[dict[str, Any]]] = set()

    async def run(
        self, operation: Operation, client: Client, viewer: Viewer, wanted_s: float | None = None
    ) -> dict[str, Any]:
        """Run an operation, for as long as the caller wants it, and no longer than the settings allow.

        Raises TooLate, and what Operation.run raises.
        """
        timeout_s = self._timeout_s if wanted_s is None else min(wanted_s, self._timeout_s)
        if operation.is_mutation:
            return await self._change(operation, client, viewer, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await operation.run(client, viewer)
        except TimeoutError:
            raise _too_late(operation, timeout_s) from None

    async def _change(self, operation: Operation, client: Client, viewer: Viewer, timeout_s: float) -> dict[str, Any]:
        task = asyncio.create_task(operation.run(client, viewer), name="mutation")
        try:
            await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():
                self._leave(task)
        if not task.done():
            raise _too_late(operation, timeout_s)
        return task.result()

    def _leave(self, task: asyncio.Task[dict[str, Any]]) -> None:
        if len(self._late) >= _LATE_MAX:
            task.cancel()
        self._late.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._late.discard(task)
        if task.cancelled():
            log.warning("api.late_mutation_cut")
        elif error := task.exception():
            log.warning("api.late_mutation_failed", error=str(error))
        else:
            log.info("api.late_mutation_done")

    async def settle(self) -> None:
        """Wait for mutations that go on without their callers, and cut those that do not end."""
        if self._late:
            await asyncio.wait(self._late, timeout=SETTLE_S)
        for task in list(self._late):
            task.cancel()
        if self._late:
            await asyncio.wait(self._late)


def _too_late(operation: Operation, timeout_s: float) -> TooLate:
    name = operation.node.name.value if operation.node.name else ""
    log.warning("api.deadline", operation=name, seconds=timeout_s)
    message = f"This took longer than {timeout_s:g} s."
    if operation.is_mutation:
        message = f"{message} {_GOES_ON}"
    return TooLate([{"message": message, "extensions": {"code": CODE}}])
