"""SAQ's functions as tasks: `async def f(ctx, *, a)`, whatever the names and annotations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec

from jobs.saq.job import Dump, encode
from jobs.signature import Signature, Unencodable
from jobs.task import Registry, Task, TaskDefinition


class PlainSignature(Signature):
    """Any JSON in and out: SAQ's functions say nothing that can be relied on about their types."""

    __slots__ = ("_dump", "_load")

    def __init__(self, function: Callable[..., Any], dump: Dump, load: Callable[[bytes], Any]) -> None:
        self.is_async = asyncio.iscoroutinefunction(function)
        self.takes_context = True
        self.args_schema = {"type": "object", "additionalProperties": True}
        self.result_schema = None
        self._dump, self._load = dump, load

    def decode(self, args: bytes) -> dict[str, Any]:
        """Read the arguments, a JSON object."""
        kwargs: dict[str, Any] = self._load(args)
        return kwargs

    def encode(self, result: Any) -> str:
        """Write the result as JSON. Raises Unencodable."""
        try:
            return encode(self._dump, result).decode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Unencodable(f"The result cannot be written as JSON: {error}") from error


def registry_of(
    functions: dict[str, Callable[..., Any]], dump: Dump = json.dumps, load: Callable[[bytes], Any] = json.loads
) -> Registry:
    """Make tasks of SAQ's functions by name; a Task stays what it is."""
    registry = Registry()
    for name, function in functions.items():
        if isinstance(function, Task):
            definition = msgspec.structs.replace(function.definition, name=name)
            task = Task(
                function.function, definition, function.signature, function.no_retry, isolated=function.isolated
            )
        else:
            signature = PlainSignature(function, dump, load)
            definition = TaskDefinition(name=name, args_schema=signature.args_schema, max_attempts=1, timeout_s=10.0)
            task = Task(function, definition, signature, ())
        registry.add(task)
    return registry
