"""Queries about jobs."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.job import Attempt, Job, LogLevel, LogLine
from jobs.newest import Newest
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise
from jobs.where import JobWhere

COUNT_MAX = 1_000
"""Jobs are counted up to here; beyond, a count only says that there are more."""


class JobQueries:
    """Single jobs as they stand now; lists, attempts and logs as history has them."""

    def __init__(self, store: Store, newest: Newest) -> None:
        self._store = store
        self._newest = newest

    async def get(self, viewer: Viewer, job_id: str) -> Job | None:
        """Return a job, None where there is none. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        return await self._newest.find(job_id)

    async def get_many(self, viewer: Viewer, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return those of the jobs that exist, by id. Raises Forbidden, Unavailable."""
        authorise(viewer, Permission.READ)
        return await self._newest.find_many(job_ids)

    async def page(
        self, viewer: Viewer, where: JobWhere, page: PageRequest, direction: Direction = Direction.DESC
    ) -> Page[Job]:
        """Return a page of jobs in the order of their creation. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.search.jobs(where, page, direction)

    async def count(self, viewer: Viewer, where: JobWhere) -> Counted:
        """Count the jobs that are meant, up to 1,000. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.search.count(where, limit=COUNT_MAX)

    async def attempts(self, viewer: Viewer, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        """Return the attempts of each job, all runs, in order. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.search.attempts(job_ids)

    async def logs(
        self, viewer: Viewer, job_id: str, page: PageRequest, level_min: LogLevel = LogLevel.DEBUG
    ) -> Page[LogLine]:
        """Return a page of what a job logged, the oldest first. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.search.logs(job_id, page, level_min=level_min)

    async def log(self, viewer: Viewer, job_id: str, number: str) -> LogLine | None:
        """Return one line of what a job logged, None where there is none. Raises Forbidden, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        return await self._store.search.log(job_id, int(number)) if number.isdecimal() and len(number) < 19 else None
