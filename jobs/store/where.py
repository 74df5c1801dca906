"""Which jobs are meant: from a JobWhere to SQL.

One part of a filter, the `lead`, is served by an index that gives the jobs in the order of their ids. The rest is
looked at job by job, so a search looks at no more than a window of jobs and says up to where it came (search.py).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import orjson

from jobs.job import State
from jobs.store.database import Dialect, among, array
from jobs.where import BRANCHES, DOCUMENTS, TIMES, JobWhere, PathWhere, Scalar, Step, TimeRange

SLACK_MS = 3_600_000
"""How far the time in a job's id and its created_ms may lie apart (two clocks)."""
BRANCHES_MAX = 8
"""An index is read for so many values beside each other; for more, the jobs are looked at one by one."""

_COLUMNS = {
    "states": "job.state",
    "tasks": "job.task",
    "queues": "job.queue",
    "keys": "job.key",
    "owners": "job.owner",
    "priorities": "job.priority",
    "reasons": "job.reason",
    "parents": "job.retry_of",
}
_INDEXED: tuple[tuple[str, ...], ...] = (
    ("keys",),
    ("parents",),
    ("tags",),
    ("owners",),
    ("queues", "tasks", "states"),
    ("states",),
    ("tasks",),
    ("queues",),
)
"""Lists that an index serves, the most telling ones first."""
_TIMES = {
    "created": "job.created_ms",
    "updated": "job.updated_ms",
    "scheduled": "COALESCE(NULLIF(job.due_ms, 0), job.scheduled_ms)",
    "started": "job.started_ms",
    "finished": "job.finished_ms",
}


class Query:
    """Conditions and their values, as they are put together."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.joins = ""
        self.values: list[Any] = []
        self.conditions: list[str] = []

    def value(self, value: Any) -> str:
        """Take a value in; return the parameter that stands for it."""
        self.values.append(value)
        return f"${len(self.values)}"

    def where(self, text: str, value: Any) -> None:
        """Add a condition that ends with its value."""
        self.conditions.append(text + self.value(value))

    def any_of(self, column: str, values: Sequence[str | int]) -> str:
        """Write the condition that the column has one of the values."""
        if len(values) == 1:
            return f"{column} = {self.value(values[0])}"
        if isinstance(values[0], int):
            return f"{column} IN ({', '.join(self.value(value) for value in values)})"
        self.values.append(array(self.dialect, [str(value) for value in values]))
        return among(self.dialect, column, len(self.values))

    @property
    def key(self) -> str:
        """The column that orders the jobs by creation."""
        return "job_tag.job_id" if self.joins else "job.id"

    def text(self) -> str:
        """Return joins and conditions."""
        return f"{self.joins} WHERE {' AND '.join(self.conditions)}" if self.conditions else self.joins


class Plan(msgspec.Struct, frozen=True):
    """How a filter is searched for."""

    leads: tuple[JobWhere, ...]
    """Each is served by an index; together they have all jobs that are meant. One without parts: all jobs by id."""
    rest: JobWhere | None
    """What is left to be looked at job by job; None: nothing, the indexes alone decide."""


def plan(where: JobWhere) -> Plan:
    """Choose the index."""
    for names in _INDEXED:
        lists = [getattr(where, name) for name in names]
        if not all(lists) or ("states" in names and State.COMPLETED in where.states):
            continue  # the indexes over states leave COMPLETED out, which nearly all jobs are
        combinations = list(itertools.product(*lists))
        if len(combinations) > BRANCHES_MAX:
            continue
        leads = [
            msgspec.structs.replace(JobWhere(), **{name: (value,) for name, value in zip(names, one, strict=True)})
            for one in combinations
        ]
        rest = msgspec.structs.replace(where, **dict.fromkeys(names, ()))
        return Plan(tuple(leads), None if rest == JobWhere() else rest)
    return Plan((JobWhere(),), None if where == JobWhere() else where)


def lead_query(dialect: Dialect, lead: JobWhere, created: TimeRange | None) -> Query:
    """Write the conditions that one index serves; `created` narrows the ids, which begin with their time."""
    found = Query(dialect)
    for tag in lead.tags:  # in the order of the tag's index, so that a page needs no sorting
        found.joins = " JOIN job_tag ON job_tag.job_id = job.id"
        found.where("job_tag.tag = ", tag)
    for name, column in _COLUMNS.items():
        for value in getattr(lead, name):
            found.where(f"{column} = ", value)
    if lead.states:
        found.conditions.append("job.state <> 'COMPLETED'")  # as the partial indexes say it
    if created is not None and created.from_ms is not None:
        found.where(f"{found.key} >= ", _id_at(created.from_ms - SLACK_MS))
    if created is not None and created.until_ms is not None:
        found.where(f"{found.key} < ", _id_at(created.until_ms + SLACK_MS))
    return found


def _id_at(ms: int) -> str:
    bounded = min(max(ms, 0), (1 << 48) - 1)
    return str(uuid.UUID(int=bounded << 80))


def condition(query: Query, where: JobWhere) -> str:
    """Write all of a filter as one condition; the values go into the query."""
    parts = [query.any_of(column, getattr(where, name)) for name, column in _COLUMNS.items() if getattr(where, name)]
    if where.tags:
        tag = query.any_of("tag", where.tags)
        parts.append(f"job.id IN (SELECT job_id FROM job_tag WHERE {tag})")  # noqa: S608  # our own text
    if where.error:
        parts.append(_within_error(query, where.error))
    for name in TIMES:
        parts += _within_time(query, _TIMES[name], getattr(where, name))
    for name in DOCUMENTS:
        for one in getattr(where, name):
            parts += _DOCUMENT[query.dialect](query, f"job.{name}", one)
    every, some, none = ([condition(query, one) for one in getattr(where, name)] for name in BRANCHES)
    parts += every
    if some:
        parts.append(_either(some))
    # What is unknown to SQL (a comparison with null) is false to us, also behind a NOT.
    parts += [f"NOT COALESCE({one}, FALSE)" for one in none]
    return f"({' AND '.join(parts)})" if parts else "TRUE"


def _either(parts: Iterable[str]) -> str:
    return f"({' OR '.join(parts)})"


def _within_time(query: Query, column: str, span: TimeRange | None) -> list[str]:
    if span is None:
        return []
    parts = []
    if span.from_ms is not None:
        parts.append(f"{column} >= {query.value(span.from_ms)}")
    if span.until_ms is not None:
        parts.append(f"{column} < {query.value(span.until_ms)}")
    return parts


def _within_error(query: Query, text: str) -> str:
    wanted = query.value(text)
    if query.dialect == "sqlite":
        return _either(f"instr(json_extract(job.error, '$.{name}'), {wanted}) > 0" for name in ("type", "message"))
    return _either(f"strpos(job.error::jsonb ->> '{name}', {wanted}::text) > 0" for name in ("type", "message"))


# Values within documents: SQLite has functions over JSON, PostgreSQL a type


def _within_sqlite(query: Query, column: str, one: PathWhere) -> list[str]:
    path = query.value("$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in one.steps))
    kind, value = f"json_type({column}, {path})", f"json_extract({column}, {path})"
    parts = []
    if one.equals:
        parts.append(_either(_equals_sqlite(query, kind, value, other) for other in one.equals))
    if one.contains:
        parts.append(f"({kind} = 'text' AND instr({value}, {query.value(one.contains)}) > 0)")
    for sign, bound in ((">=", one.at_least), ("<=", one.at_most)):
        if bound is not None:
            parts.append(f"({kind} IN ('integer', 'real') AND {value} {sign} {query.value(bound)})")
    if one.exists is not None:
        parts.append(f"{kind} IS {'NOT ' if one.exists else ''}NULL")
    return parts


def _equals_sqlite(query: Query, kind: str, value: str, other: Scalar) -> str:
    match other:
        case None:
            return f"{kind} = 'null'"
        case bool():
            return f"{kind} = '{'true' if other else 'false'}'"
        case str():
            return f"({kind} = 'text' AND {value} = {query.value(other)})"
        case _:
            return f"({kind} IN ('integer', 'real') AND {value} = {query.value(other)})"


def _within_postgres(query: Query, column: str, one: PathWhere) -> list[str]:
    value = column + "".join(f" -> {_step_postgres(query, step)}" for step in one.steps)
    parts = []
    if one.equals:
        parts.append(_either(f"({value}) = {query.value(_json(other))}::jsonb" for other in one.equals))
    if one.contains:
        wanted = query.value(one.contains)
        parts.append(f"(jsonb_typeof({value}) = 'string' AND strpos(({value}) #>> '{{}}', {wanted}::text) > 0)")
    for sign, bound in ((">=", one.at_least), ("<=", one.at_most)):
        if bound is not None:
            number = f"{query.value(_json(bound))}::jsonb"
            parts.append(f"(jsonb_typeof({value}) = 'number' AND ({value}) {sign} {number})")
    if one.exists is not None:
        parts.append(f"({value}) IS {'NOT ' if one.exists else ''}NULL")
    return parts


def _step_postgres(query: Query, step: Step) -> str:
    return f"{step:d}" if isinstance(step, int) else f"{query.value(step)}::text"


def _json(value: Scalar) -> str:
    return orjson.dumps(value).decode()


_DOCUMENT: dict[Dialect, Callable[[Query, str, PathWhere], list[str]]] = {
    "sqlite": _within_sqlite,
    "postgres": _within_postgres,
}
