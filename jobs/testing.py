"""For tests of tasks: runs one attempt as a worker would, without Redis or a database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pydantic_core

from jobs.clock import new_id, now_ms
from jobs.context import Context, Line, Surroundings
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


async def run_task(
    function: Any, args: Mapping[str, Any] | None = None, *, attempt: int = 1, shared: Mapping[str, Any] | None = None
) -> Ran:
    """Run one attempt of a task, or of a function that could be one, and return what it left behind.

    `ran = await run_task(send_welcome, {"to": "a@b.c"})`: `args` pass through JSON and the task's
    types, the result through JSON, as in production.
    `attempt` is what the task sees as its number, `shared` what SAQ functions find in their context.
    Raises what the task raises (Retry, Snooze and Cancel included), InvalidArguments and Unencodable.
    """
    task: Task[..., Any] = function if isinstance(function, Task) else Registry().add(function)
    definition = task.definition
    spec = JobSpec(
        id=new_id(),
        task=task.name,
        queue=definition.queue,
        args=msgspec.Raw(pydantic_core.to_json(dict(args or {}))),
        created_ms=now_ms(),
        max_attempts=definition.max_attempts,
        backoff=definition.backoff,
        timeout_s=definition.timeout_s,
    )
    context = Context(spec, 1, attempt, attempt, Surroundings(lambda _: None, shared or {}))
    kwargs = task.signature.decode(bytes(spec.args))
    given = (context,) if task.signature.takes_context else ()
    if task.signature.is_async:
        result = await task.function(*given, **kwargs)
    else:
        result = await asyncio.to_thread(task.function, *given, **kwargs)
    text = task.signature.encode(result)
    said = context.take()
    return Ran(msgspec.json.decode(text), said.progress, said.lines)
