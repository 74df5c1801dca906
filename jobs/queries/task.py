"""Queries about tasks."""

from __future__ import annotations

from jobs.page import Page, PageRequest
from jobs.published import Published
from jobs.queries import keyset
from jobs.task import TaskDefinition
from jobs.viewer import Permission, Viewer, authorise


class TaskQueries:
    """The tasks that workers have published."""

    def __init__(self, published: Published) -> None:
        self._published = published

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[TaskDefinition]:
        """Return a page of tasks by name. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        tasks = await self._published.tasks()
        names = keyset.window(list(tasks), page)
        return Page(
            items=[tasks[name] for name in names.items],
            cursors=names.cursors,
            has_next=names.has_next,
            has_previous=names.has_previous,
        )

    async def get(self, viewer: Viewer, name: str) -> TaskDefinition | None:
        """Return a task, None where no worker has published it. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return (await self._published.tasks()).get(name)

    async def definitions(self) -> list[TaskDefinition]:
        """Return all tasks by name: the API makes its schema from them. Raises StoreUnavailable."""
        return list((await self._published.tasks()).values())

    async def version(self) -> str:
        """Return a text that changes when a task does; cheap to poll. Raises StoreUnavailable."""
        return await self._published.version()
