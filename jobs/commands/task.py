"""Commands on tasks."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.commands.parts import Parts
from jobs.task import TaskDefinition
from jobs.viewer import SYSTEM, Permission


class TaskCommands:
    """Publish."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def publish(self, definitions: Sequence[TaskDefinition]) -> bool:
        """Publish the tasks of a worker; tell whether the catalogue changed. Tasks are never removed by this.

        A worker calls this for itself, so there is no viewer. Raises StoreUnavailable.
        """

        async def publish() -> bool:
            changed = await self._parts.store.catalogue.publish(definitions)
            self._parts.published.forget()
            return changed

        return await self._parts.gate.run(SYSTEM, Permission.ADMINISTER, "task.publish", publish)
