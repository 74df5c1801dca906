"""One search for jobs: the indexes that lead, the window that bounds it, and the page that comes out."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.job import Job
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.store.cursor import Cursors, Keyset
from jobs.store.database import Database, Row
from jobs.store.mend import JOB, Reader
from jobs.store.quarantine import Quarantine
from jobs.store.rows import JOB_NAMES, job_of
from jobs.store.where import Query, condition, lead_query, plan
from jobs.where import JobWhere

WINDOW = 5_000
"""Jobs that a search looks at one by one before it ends: 15 ms or so in PostgreSQL, with a path into arguments."""

_NAMES = ", ".join(f"job.{name}" for name in JOB_NAMES.split(", "))


class JobSearch:
    """A filter in one order. Where several indexes lead, what they give is merged."""

    def __init__(self, database: Database, quarantine: Quarantine, where: JobWhere, direction: Direction) -> None:
        self._database = database
        self._quarantine = quarantine
        self._where = where
        self._plan = plan(where)
        self._window = max(1, WINDOW // len(self._plan.leads))
        self._direction = direction

    async def page(self, page: PageRequest) -> Page[Job]:
        """Return a page. Raises InvalidCursor, StoreUnavailable."""
        cursors = Cursors("job", self._direction)
        after = None if page.after is None else cursors.read(page.after)
        before = None if page.before is None else cursors.read(page.before)
        keyset = Keyset("job.id", self._direction, page)
        rows: list[Row] = []
        ends: list[str] = []
        for lead in self._plan.leads:
            found, keyset = self._begin(lead, page, after, before)
            if end := await self._end_of_window(found, keyset):
                ends.append(end)
                found.where(keyset.towards, end)
            self._look_closer(found)
            sql = f"SELECT {_NAMES} FROM job{found.text()} {keyset.order}"  # noqa: S608  # values are parameters
            rows += await self._database.fetch(sql, found.values)
        reached = keyset.first_of(ends)
        rows = keyset.merge(rows, lambda row: row["id"], reached)
        reader = Reader(JOB, job_of)
        place = None if reached is None else cursors.write(reached)
        found_page = keyset.page(rows, reader, lambda row: cursors.write(row["id"]), place)
        await self._quarantine.note(reader.damaged)
        return found_page

    async def count(self, limit: int) -> Counted:
        """Count up to `limit`. Raises StoreUnavailable."""
        ids: set[str] = set()
        whole = True
        page = PageRequest(limit=limit)
        for lead in self._plan.leads:
            found, keyset = self._begin(lead, page, None, None)
            if end := await self._end_of_window(found, keyset):
                whole = False
                found.where(keyset.towards, end)
            self._look_closer(found)
            sql = f"SELECT {found.key} AS id FROM job{found.text()} {keyset.order}"  # noqa: S608  # values are parameters
            ids.update(row["id"] for row in await self._database.fetch(sql, found.values))
        return Counted(min(len(ids), limit), whole and len(ids) <= limit)

    def _begin(self, lead: JobWhere, page: PageRequest, after: str | None, before: str | None) -> tuple[Query, Keyset]:
        found = lead_query(self._database.dialect, lead, self._where.created)
        keyset = Keyset(found.key, self._direction, page)
        if after is not None:
            found.where(keyset.after, after)
        if before is not None:
            found.where(keyset.before, before)
        return found, keyset

    async def _end_of_window(self, found: Query, keyset: Keyset) -> str | None:
        """Return the last id that may be looked at; None where the window holds all that the index has."""
        if self._plan.rest is None:
            return None
        sql = f"SELECT {found.key} AS id FROM job{found.text()} {keyset.nth(self._window)}"  # noqa: S608  # as above
        rows: Sequence[Row] = await self._database.fetch(sql, found.values)
        return rows[0]["id"] if rows else None

    def _look_closer(self, found: Query) -> None:
        if self._plan.rest is not None:
            found.conditions.append(condition(found, self._plan.rest))
