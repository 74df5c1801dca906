"""The schema that runs now: the base and a mutation for each published task, swapped when the tasks change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from graphql import GraphQLSchema, assert_valid_schema

from api.execution.shared import SharedResults
from api.limits import Documents
from api.schema.base import base_schema
from api.schema.names import NameClash
from api.schema.task_mutation import TaskMutations, extend
from jobs.errors import Unavailable
from jobs.queries import TaskQueries
from jobs.task import TaskDefinition

log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""The tasks are looked at so often."""


@dataclass(frozen=True)
class Runnable:
    """One version of the schema, with what belongs to it alone."""

    schema: GraphQLSchema
    documents: Documents
    mutations: dict[str, str]
    """Task: name of its mutation."""
    clashes: Sequence[NameClash]
    """Tasks that got no mutation, and why."""
    results: SharedResults = field(default_factory=SharedResults)
    """What subscribers have in common."""


def build(tasks: Sequence[TaskDefinition]) -> Runnable:
    """Make the schema for these tasks. A task whose names clash is left out, and named in `clashes`."""
    base = base_schema()
    made = TaskMutations.of(tasks, base)
    schema = extend(base, made.mutations)
    assert_valid_schema(schema)
    return Runnable(schema, Documents(schema), {one.task: one.name for one in made.mutations}, made.clashes)


class LiveSchema:
    """The current version of the schema. What runs on an older one, runs on to its end."""

    def __init__(self, tasks: TaskQueries) -> None:
        self._tasks = tasks
        self._version: str | None = None
        self.current = build([])

    async def refresh(self) -> None:
        """Look at the tasks, and swap the schema if they have changed. Raises StoreUnavailable."""
        version = await self._tasks.version()
        if version != self._version:
            await self._swap(version)

    async def follow(self) -> None:
        """Keep the schema up to date, for ever.

        Workers that start publish in a burst, so a change is taken in when it has lasted from one look to the next.
        """
        seen = self._version
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                version = await self._tasks.version()
                if version != self._version and version == seen:
                    await self._swap(version)
                seen = version
            except Unavailable as error:
                log.warning("api.schema_not_looked_at", error=str(error))
            except Exception:  # the API goes on with the schema it has
                log.exception("api.schema_not_swapped")

    async def _swap(self, version: str) -> None:
        tasks = await self._tasks.definitions()
        built = await asyncio.to_thread(build, tasks)
        for clash in built.clashes:
            log.error("api.name_clash", problem=str(clash))
        self.current, self._version = built, version
        log.info("api.schema_swapped", tasks=len(tasks), mutations=len(built.mutations))
