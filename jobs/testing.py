"""For tests of tasks: runs attempts as a worker would, without Redis or a database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pydantic_core

from jobs.checkpoint import Checkpoints
from jobs.clock import new_id, now_ms
from jobs.context import Context, Line, Said, Surroundings
from jobs.job import JobSpec, Progress
from jobs.task import Registry, Task


class Ran(msgspec.Struct, frozen=True):
    """What an attempt left behind."""

    result: Any
    """The result as the API would show it: plain JSON values."""
    progress: Progress | None
    """The last progress that was reported."""
    lines: list[Line]
    """Log lines: level, message, context as JSON or "", stack or ""."""


class Rehearsal:
    """A job whose attempts are run one after the other; each finds what the one before has saved.

    `job = Rehearsal(import_users, {"file": "a.csv"})`, then `ran = await job.attempt()`: `args` pass
    through JSON and the task's types, the result through JSON, as in production. The first may be a task, or a
    function that could be one. An attempt that raises leaves what it saved: call `attempt` again for the next.
    `shared` is what SAQ functions find in their context.
    """

    def __init__(
        self, function: Any, args: Mapping[str, Any] | None = None, *, shared: Mapping[str, Any] | None = None
    ) -> None:
        self.task: Task[..., Any] = function if isinstance(function, Task) else Registry().add(function)
        definition = self.task.definition
        self.spec = JobSpec(
            id=new_id(),
            task=self.task.name,
            queue=definition.queue,
            args=msgspec.Raw(pydantic_core.to_json(dict(args or {}))),
            created_ms=now_ms(),
            max_attempts=definition.max_attempts,
            backoff=definition.backoff,
            timeout_s=definition.timeout_s,
        )
        self.checkpoints: list[str] = []
        """Every checkpoint so far, as it is kept in Redis."""
        self.progress: Progress | None = None
        self.lines: list[Line] = []
        """Log lines of the last attempt."""
        self._shared = shared or {}
        self._attempts = 0

    @property
    def checkpoint(self) -> Any:
        """What the next attempt will find as `ctx.checkpoint`."""
        return Checkpoints(self.checkpoints[-1]).value if self.checkpoints else None

    async def attempt(self, number: int = 0) -> Ran:
        """Run the next attempt, or the one of this number, and return what it left behind.

        Raises what the task raises (Retry, Snooze and Cancel included), InvalidArguments and Unencodable.
        """
        self._attempts = number or self._attempts + 1
        self.progress, self.lines = None, []
        checkpoint = self.checkpoints[-1] if self.checkpoints else ""
        around = Surroundings(self._hear, self._shared)
        context = Context(self.spec, 1, self._attempts, self._attempts, around, checkpoint)
        signature = self.task.signature
        kwargs = signature.decode(bytes(self.spec.args))
        given = (context,) if signature.takes_context else ()
        try:
            if signature.is_async:
                result = await self.task.function(*given, **kwargs)
            else:
                result = await asyncio.to_thread(self.task.function, *given, **kwargs)
        finally:
            self._note(context.take())
        return Ran(msgspec.json.decode(signature.encode(result)), self.progress, self.lines)

    def _hear(self, context: Context) -> None:
        if context.urgent:  # all else can wait for the end of the attempt
            said = context.take()
            self._note(said)
            context.settle(said.saves)

    def _note(self, said: Said) -> None:
        self.progress = said.progress or self.progress
        self.lines += said.lines
        if said.checkpoint:
            self.checkpoints.append(said.checkpoint)


async def run_task(
    function: Any, args: Mapping[str, Any] | None = None, *, attempt: int = 1, shared: Mapping[str, Any] | None = None
) -> Ran:
    """Run one attempt of a task, which sees `attempt` as its number; what is given and raised is as in Rehearsal.

    `ran = await run_task(send_welcome, {"to": "a@b.c"})`
    """
    return await Rehearsal(function, args, shared=shared).attempt(attempt)
