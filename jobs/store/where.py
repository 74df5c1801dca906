"""Which jobs are meant: from a JobWhere, and from the leads of its plan, to SQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import orjson

from jobs.store.cursor import Bounds
from jobs.store.database import Dialect, among, array
from jobs.store.lead import Lead, span
from jobs.where import BRANCHES, DOCUMENTS, TIMES, JobWhere, PathWhere, Scalar, Step, TimeRange, folded

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
_PARTIAL = {"states": "job.state <> 'COMPLETED'", "error": "job.error IS NOT NULL"}
"""Conditions of partial indexes, word for word; the others follow from the lead's own."""
_TIMES = {
    "created": "job.created_ms",
    "updated": "job.updated_ms",
    "scheduled": "COALESCE(NULLIF(job.due_ms, 0), job.scheduled_ms)",
    "started": "job.started_ms",
    "finished": "job.finished_ms",
}


_ESCAPED = set("\"\\/<>&'")
"""What some writers of JSON write in another way; and what is not ASCII."""


class Query:
    """Conditions and their values, as they are put together. Several may share their values."""

    def __init__(self, dialect: Dialect, values: list[Any] | None = None) -> None:
        self.dialect = dialect
        self.table = "job"
        self.key = "job.id"
        """The column that orders the jobs by creation."""
        self.values: list[Any] = [] if values is None else values
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

    def text(self) -> str:
        """Return the conditions."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def lead_query(dialect: Dialect, lead: Lead, bounds: Bounds, values: list[Any] | None = None) -> Query:
    """Write the conditions that one index serves."""
    found = Query(dialect, values)
    if lead.names == ("tags",):  # in the order of the tag's index, so that a page needs no sorting
        found.table, found.key = "job_tag", "job_tag.job_id"
        found.where("job_tag.tag = ", lead.values[0])
    else:
        for name, value in zip(lead.names, lead.values, strict=False):
            found.where(f"{_COLUMNS[name]} = ", value)
    found.conditions += [_PARTIAL[name] for name in lead.names if name in _PARTIAL]
    if bounds.low is not None:
        found.where(f"{found.key} {'>=' if bounds.low_too else '>'} ", bounds.low)
    if bounds.high is not None:
        found.where(f"{found.key} {'<=' if bounds.high_too else '<'} ", bounds.high)
    return found


def bounds_of(where: JobWhere) -> Bounds:
    """Return between which ids, which begin with their time, all jobs are that are meant."""
    first_ms, last_ms = span(where)
    low = None if first_ms is None else _id_at(first_ms)
    return Bounds().above(low, too=True).below(None if last_ms is None else _id_at(last_ms))


def look_closer(query: Query, where: JobWhere) -> None:
    """Add all of a filter as a condition that no index is chosen for: those of the lead have to do."""
    one = f"CASE WHEN {condition(query, where)} THEN TRUE ELSE FALSE END"
    if query.table != "job":
        one = f"(SELECT {one} FROM job WHERE job.id = {query.key})"  # noqa: S608  # our own text
    query.conditions.append(one)


def _id_at(ms: int) -> str:
    bounded = min(max(ms, 0), (1 << 48) - 1)
    return str(uuid.UUID(int=bounded << 80))


def condition(query: Query, where: JobWhere) -> str:
    """Write all of a filter as one condition; the values go into the query."""
    parts = [query.any_of(column, getattr(where, name)) for name, column in _COLUMNS.items() if getattr(where, name)]
    if where.tags:
        parts.append(_has_tag(query, where.tags))
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


def _has_tag(query: Query, tags: Sequence[str]) -> str:
    """Look at the row's own list, which spares a look-up for each job; one that is damaged has no tags."""
    if query.dialect == "sqlite":
        listed = "json_each(CASE WHEN json_valid(job.tags) THEN job.tags ELSE '[]' END)"
        return f"EXISTS (SELECT 1 FROM {listed} AS own WHERE {query.any_of('own.value', tags)})"  # noqa: S608  # our own text
    # ["a","b"]: a quotation mark within a tag is escaped, so that "," stands between two tags only.
    wanted = query.value([msgspec.json.encode(tag).decode()[1:-1] for tag in tags])
    return f"string_to_array(left(substr(job.tags, 3), -2), '\",\"') && {wanted}::text[]"


def _within_error(query: Query, text: str) -> str:
    wanted = query.value(folded(text))
    pattern = "json_extract(job.error, '$.{}')" if query.dialect == "sqlite" else "(job.error::jsonb ->> '{}')"
    found = _either(_has_text(query, pattern.format(name), wanted) for name in ("type", "message"))
    first = _has_text(query, "job.error", wanted)
    # Text that JSON writes as it is can be looked for in the JSON, which is faster than to read it.
    return f"({first} AND {found})" if text.isascii() and text.isprintable() and not _ESCAPED & set(text) else found


def _has_text(query: Query, value: str, wanted: str) -> str:
    """Look for a text that is folded already. Both databases fold what is ASCII, and nothing else."""
    if query.dialect == "sqlite":
        return f"instr(lower({value}), {wanted}) > 0"
    return f'strpos(lower({value} COLLATE "C"), {wanted}::text) > 0'


# Values within documents: SQLite has functions over JSON, PostgreSQL a type


def _within_sqlite(query: Query, column: str, one: PathWhere) -> list[str]:
    path = query.value("$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in one.steps))
    kind, value = f"json_type({column}, {path})", f"json_extract({column}, {path})"
    parts = []
    if one.equals:
        parts.append(_either(_equals_sqlite(query, kind, value, one.equals)))
    if one.contains:
        parts.append(f"({kind} = 'text' AND {_has_text(query, value, query.value(folded(one.contains)))})")
    for sign, bound in ((">=", one.at_least), ("<=", one.at_most)):
        if bound is not None:
            parts.append(f"({kind} IN ('integer', 'real') AND {value} {sign} {query.value(bound)})")
    if one.exists is not None:
        parts.append(f"{kind} IS {'NOT ' if one.exists else ''}NULL")
    return parts


def _equals_sqlite(query: Query, kind: str, value: str, others: Sequence[Scalar]) -> list[str]:
    texts = [other for other in others if isinstance(other, str)]
    numbers = [other for other in others if isinstance(other, int | float) and not isinstance(other, bool)]
    names = [orjson.dumps(other).decode() for other in others if other is None or isinstance(other, bool)]
    parts = [f"{kind} = '{name}'" for name in names]
    if texts:
        parts.append(f"({kind} = 'text' AND {value} IN ({', '.join(map(query.value, texts))}))")
    if numbers:
        parts.append(f"({kind} IN ('integer', 'real') AND {value} IN ({', '.join(map(query.value, numbers))}))")
    return parts


def _within_postgres(query: Query, column: str, one: PathWhere) -> list[str]:
    value = column + "".join(f" -> {_step_postgres(query, step)}" for step in one.steps)
    parts = []
    if one.equals:
        wanted = query.value([_json(other) for other in one.equals])
        parts.append(f"({value}) = ANY({wanted}::text[]::jsonb[])")
    if one.contains:
        found = _has_text(query, f"(({value}) #>> '{{}}')", query.value(folded(one.contains)))
        parts.append(f"(jsonb_typeof({value}) = 'string' AND {found})")
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
