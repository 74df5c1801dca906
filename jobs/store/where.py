"""Which jobs are meant: from a JobWhere to SQL that an index can serve."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from jobs.job import State
from jobs.page import JobWhere
from jobs.store.database import Dialect, among, array

SLACK_MS = 3_600_000
"""How far the time in a job's id and its created_ms may lie apart (two clocks)."""


class Query:
    """Conditions and their values, as they are put together."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.joins = ""
        self.values: list[Any] = []
        self.conditions: list[str] = []

    def where(self, text: str, value: Any) -> None:
        """Add a condition that ends with its value."""
        self.values.append(value)
        self.conditions.append(f"{text}${len(self.values)}")

    def any_of(self, column: str, values: Sequence[str]) -> None:
        """Add the condition that the column has one of the values; none: no condition."""
        if len(values) == 1:
            self.where(f"{column} = ", values[0])
        elif values:
            self.values.append(array(self._dialect, values))
            self.conditions.append(among(self._dialect, column, len(self.values)))

    def tagged(self, tags: Sequence[str]) -> None:
        """Add the condition that the job has one of the tags; none: no condition."""
        if len(tags) == 1:  # in the order of the tag's index, so that a page needs no sorting
            self.joins += " JOIN job_tag ON job_tag.job_id = job.id"
            self.where("job_tag.tag = ", tags[0])
        elif tags:
            self.values.append(array(self._dialect, tags))
            tag = among(self._dialect, "tag", len(self.values))
            self.conditions.append(f"job.id IN (SELECT job_id FROM job_tag WHERE {tag})")  # noqa: S608  # our own text

    @property
    def key(self) -> str:
        """The column that orders the jobs by creation."""
        return "job_tag.job_id" if self.joins else "job.id"

    def text(self) -> str:
        """Return joins and conditions."""
        return f"{self.joins} WHERE {' AND '.join(self.conditions)}" if self.conditions else self.joins


def query(dialect: Dialect, where: JobWhere) -> Query:
    """Write the conditions of a JobWhere."""
    found = Query(dialect)
    found.tagged(where.tags)
    found.any_of("job.state", [str(state) for state in where.states])
    if where.states and State.COMPLETED not in where.states:
        found.conditions.append("job.state <> 'COMPLETED'")  # as the partial indexes say it
    found.any_of("job.queue", where.queues)
    found.any_of("job.task", where.tasks)
    found.any_of("job.owner", where.owners)
    # Ids begin with their time: the range lets the index skip what is outside, created_ms decides.
    if where.created_from_ms is not None:
        found.where(f"{found.key} >= ", _id_at(where.created_from_ms - SLACK_MS))
        found.where("job.created_ms >= ", where.created_from_ms)
    if where.created_until_ms is not None:
        found.where(f"{found.key} < ", _id_at(where.created_until_ms + SLACK_MS))
        found.where("job.created_ms < ", where.created_until_ms)
    return found


def _id_at(ms: int) -> str:
    bounded = min(max(ms, 0), (1 << 48) - 1)
    return str(uuid.UUID(int=bounded << 80))
