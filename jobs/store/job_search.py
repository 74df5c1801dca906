"""One search for jobs: the plan that reaches furthest, the window that bounds it, and the page that comes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jobs.job import Job
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.store.cursor import Bounds, Cursors, Keyset
from jobs.store.database import Database, Row, among, array
from jobs.store.lead import Lead, Plan, plans
from jobs.store.mend import JOB, Reader
from jobs.store.quarantine import Quarantine
from jobs.store.rows import JOB_NAMES, job_of
from jobs.store.where import bounds_of, lead_query, look_closer
from jobs.where import DOCUMENTS, JobWhere

WINDOW = 5_000
"""Jobs that a search looks at one by one before it ends."""
LOOK_MS = 8.0
"""A search that has taken so long looks at no further jobs."""
STEPS = (4_096, 2_048, 1_024, 512, 256, 128, 64, 32)
"""Jobs that are looked at with one statement: few numbers, so that databases know the statements."""
FIRST = 512
"""Jobs that are looked at with the first statement, or fewer: how long they take tells how many more there may be."""

Monotonic = Callable[[], float]


class _Found(NamedTuple):
    """Ids in the order of the search, and the place at which it ended before all was looked at."""

    ids: list[str]
    reached: str | None


class JobSearch:
    """A filter in one order. Where several indexes lead, what they give is merged."""

    def __init__(
        self,
        database: Database,
        quarantine: Quarantine,
        where: JobWhere,
        direction: Direction,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._database = database
        self._quarantine = quarantine
        self._where = where
        self._bounds = bounds_of(where)
        self._direction = direction
        self._monotonic = monotonic

    async def page(self, page: PageRequest) -> Page[Job]:
        """Return a page. Raises InvalidCursor, StoreUnavailable."""
        cursors = Cursors("job", self._direction)
        after, before = page.places(cursors.read)
        up = self._direction is Direction.ASC
        bounds = self._bounds.beyond(after, up=up).beyond(before, up=not up)
        keyset = Keyset("job.id", self._direction, page)
        found = await self._search(keyset, bounds, page.limit)
        jobs = await self._read(found.ids[: page.limit])
        place = None if found.reached is None else cursors.write(found.reached)
        return keyset.page(found.ids, jobs.get, cursors.write, place)

    async def count(self, limit: int) -> Counted:
        """Count up to `limit`. Raises StoreUnavailable."""
        keyset = Keyset("job.id", self._direction, PageRequest(limit=limit))
        found = await self._search(keyset, self._bounds, limit, f" LIMIT {limit + 1:d}")
        return Counted(min(len(found.ids), limit), found.reached is None and len(found.ids) <= limit)

    async def _read(self, ids: Sequence[str]) -> dict[str, Job]:
        if not ids:
            return {}
        dialect = self._database.dialect
        sql = f"SELECT {JOB_NAMES} FROM job WHERE {among(dialect, 'id', 1)}"  # noqa: S608  # names of our own columns
        reader = Reader(JOB, job_of)
        jobs = {job.id: job for job in reader.all(await self._database.fetch(sql, (array(dialect, ids),)))}
        await self._quarantine.note(reader.damaged)
        return jobs

    async def _search(self, keyset: Keyset, bounds: Bounds, limit: int, any_of: str = "") -> _Found:
        """Look for one more than `limit`, step by step while there is time; `any_of`: in whatever order."""
        began = self._monotonic()
        plan = await self._choose(keyset, bounds)
        if plan.rest is None:
            return _Found(await self._look(plan, keyset, bounds, any_of), None)
        ids: list[str] = []
        looked, step = 0, min(_first_step(plan.rest), WINDOW)
        while True:
            (end,) = await self._ends([(plan.leads, step)], keyset, bounds)
            ids += await self._look(plan, keyset, bounds.up_to(end, up=keyset.up), any_of)
            looked += step
            if len(ids) > limit or end is None:
                return _Found(ids, None)
            step = _next_step(looked, (self._monotonic() - began) * 1000)
            if not step:
                return _Found(ids, end)
            bounds = bounds.beyond(end, up=keyset.up)

    async def _choose(self, keyset: Keyset, bounds: Bounds) -> Plan:
        """Return the plan whose window reaches furthest."""
        found = plans(self._where)
        exact = next((plan for plan in found if plan.rest is None), None)
        if exact or len(found) == 1:
            return exact or found[0]
        ends = await self._ends([(plan.leads, WINDOW) for plan in found], keyset, bounds)
        best, furthest = found[0], ends[0]
        for plan, end in zip(found, ends, strict=True):
            if furthest is None:
                break
            if end is None or keyset.first([end, furthest])[0] != end:
                best, furthest = plan, end
        return best

    async def _look(self, plan: Plan, keyset: Keyset, bounds: Bounds, any_of: str) -> list[str]:
        """Return the ids that are found within the bounds, in the order of the search."""
        values: list[Any] = []
        parts = []
        for lead in plan.leads:
            query = lead_query(self._database.dialect, lead, bounds, values)
            if plan.rest is not None:
                look_closer(query, plan.rest)
            parts.append(f"SELECT {query.key} AS id FROM {query.table}{query.text()} {keyset.order(query.key)}")  # noqa: S608  # values are parameters
        sql = parts[0]
        if len(parts) > 1:
            union = " UNION ALL " if plan.is_disjoint else " UNION "
            sql = union.join(f"SELECT id FROM ({part}) AS part{n}" for n, part in enumerate(parts)) + any_of  # noqa: S608  # as above
        rows: Sequence[Row] = await self._database.fetch(sql, values)
        return keyset.first([row["id"] for row in rows])

    async def _ends(
        self, asked: Sequence[tuple[Sequence[Lead], int]], keyset: Keyset, bounds: Bounds
    ) -> list[str | None]:
        """Return where so many jobs of the leads end; None where they have no more than that."""
        values: list[Any] = []
        parts: list[str] = []
        for leads, number in asked:
            for lead in leads:
                query = lead_query(self._database.dialect, lead, bounds, values)
                nth = keyset.nth(max(1, number // len(leads)), query.key)
                parts.append(f"(SELECT {query.key} FROM {query.table}{query.text()} {nth}) AS end{len(parts)}")  # noqa: S608  # values are parameters
        row = (await self._database.fetch(f"SELECT {', '.join(parts)}", values))[0]
        places = iter([row[number] for number in range(len(parts))])
        first = [keyset.first([end for _ in leads if (end := next(places)) is not None]) for leads, _ in asked]
        return [ends[0] if ends else None for ends in first]


def _first_step(rest: JobWhere) -> int:
    """Return how many jobs to look at first: the more there is to look at in each, the fewer, as a probe."""
    return max(STEPS[-1], FIRST // (1 + _weight(rest)))


def _weight(where: JobWhere) -> int:
    documents: int = sum(len(getattr(where, name)) for name in DOCUMENTS) + bool(where.error)
    return sum((_weight(one) for one in (*where.every, *where.some, *where.none)), documents)


def _next_step(looked: int, took_ms: float) -> int:
    """How many more jobs can be looked at in the time that is left; 0: none."""
    affordable = min((LOOK_MS - took_ms) * looked / max(took_ms, 0.1), WINDOW - looked)
    return next((step for step in STEPS if step <= affordable), 0)
