"""How a filter is searched for: which indexes lead, and what is left to be looked at job by job. Pure.

An index gives jobs in the order of their ids. A lead is what one index serves for one value; the leads of a plan have,
together, all jobs that are meant.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from jobs.job import State
from jobs.where import DOCUMENTS, LISTS, TIMES, JobWhere

LEADS_MAX = 16
"""An index is read for so many values beside each other; for more, the jobs are looked at one by one."""
PLANS_MAX = 6
"""Plans that are compared."""
SLACK_MS = 60_000
"""How far two clocks may be apart: that of a job's id, and those of its times."""

_ALL = JobWhere()
_INDEXED: tuple[tuple[str, ...], ...] = (
    ("keys",),
    ("parents",),
    ("queues", "tasks", "states"),
    ("reasons",),
    ("owners",),
    ("states",),
    ("error",),
    ("tags",),
    ("tasks",),
    ("queues",),
)
"""Parts that an index serves, the most telling ones first."""


class Lead(msgspec.Struct, frozen=True):
    """Jobs that one index gives: names of the parts, and one value for each. Without any: all jobs."""

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """How a filter is searched for."""

    leads: tuple[Lead, ...]
    rest: JobWhere | None
    """What is left to be looked at job by job; None: nothing, the indexes alone decide."""

    @property
    def is_disjoint(self) -> bool:
        """Whether no job can be in two of the leads."""
        return len({lead.names for lead in self.leads}) == 1 and self.leads[0].names != ("tags",)


def plans(where: JobWhere) -> list[Plan]:
    """Return the ways to search, the most telling one first; there is always one."""
    where = lifted(where)
    found = list(itertools.islice(_plans(where), PLANS_MAX))
    return found or [Plan((Lead(),), None if where == _ALL else where)]


def _plans(where: JobWhere) -> Iterator[Plan]:
    for names in _INDEXED:
        leads = _leads(where, names)
        if leads:
            rest = where if names == ("error",) else msgspec.structs.replace(where, **dict.fromkeys(names, ()))
            yield Plan(leads, None if rest == _ALL else rest)
    for one in where.every:
        for plan in _plans(lifted(one)):
            yield Plan(plan.leads, where)
    if where.some:
        firsts = [next(_plans(lifted(one)), None) for one in where.some]
        leads = tuple(dict.fromkeys(lead for first in firsts if first for lead in first.leads))
        if None not in firsts and len(leads) <= LEADS_MAX:
            yield Plan(leads, where)


def _leads(where: JobWhere, names: tuple[str, ...]) -> tuple[Lead, ...]:
    lists = [getattr(where, name) for name in names]
    if not all(lists):
        return ()
    if names == ("error",):
        return (Lead(names),)
    if "states" in names and State.COMPLETED in where.states:
        return ()  # the indexes over states leave COMPLETED out, which nearly all jobs are
    combinations = list(itertools.islice(itertools.product(*lists), LEADS_MAX + 1))
    if len(combinations) > LEADS_MAX:
        return ()
    return tuple(Lead(names, tuple(map(str, values))) for values in dict.fromkeys(combinations))


def lifted(where: JobWhere) -> JobWhere:
    """Write the same filter with as few branches as possible, so that indexes are found for what stands in them."""
    given = {name: getattr(where, name) for name in (*LISTS, *TIMES, *DOCUMENTS, "error", "some")}
    every: list[JobWhere] = []
    none: list[JobWhere] = []
    for inner in where.every:
        one = lifted(inner)
        parts = {name: value for name in given if (value := getattr(one, name))}
        if any(given[name] for name in parts if name not in DOCUMENTS):
            every.append(one)
            continue
        given |= {name: given[name] + value if name in DOCUMENTS else value for name, value in parts.items()}
        every += one.every
        none += one.none
    for one in (*where.none, *none):
        if one.states and not given["states"] and one == JobWhere(states=one.states):
            given["states"] = tuple(state for state in State if state not in one.states)
    return JobWhere(**given, every=tuple(every), none=(*where.none, *none))


def span(where: JobWhere) -> tuple[int | None, int | None]:
    """Return the earliest and the latest time that the id of a job which is meant can have."""
    begins = [where.created.from_ms] if where.created else []
    # Nothing happens to a job before it is created.
    ends = [one.until_ms for one in (where.created, where.updated, where.started, where.finished) if one]
    for one in where.every:
        begin, end = span(one)
        begins.append(None if begin is None else begin + SLACK_MS)
        ends.append(None if end is None else end - SLACK_MS)
    first, last = [ms for ms in begins if ms is not None], [ms for ms in ends if ms is not None]
    return max(first) - SLACK_MS if first else None, min(last) + SLACK_MS if last else None
