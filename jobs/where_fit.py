"""Whether a job fits a filter. Pure: no I/O."""

from __future__ import annotations

from typing import Any

from jobs.job import Job
from jobs.where import JobWhere, PathWhere, Scalar, Step, folded


def fits(where: JobWhere, job: Job) -> bool:
    """Tell whether a job is meant."""
    return (
        _has_values(where, job)
        and (where.created is None or where.created.has(job.created_ms))
        and (where.updated is None or where.updated.has(job.updated_ms))
        and (where.scheduled is None or where.scheduled.has(job.scheduled_ms))
        and (where.started is None or where.started.has(job.started_ms))
        and (where.finished is None or where.finished.has(job.finished_ms))
        and (not where.error or _has_error(where.error, job))
        and all(holds(one, job.args) for one in where.args)
        and all(holds(one, job.metadata) for one in where.metadata)
        and all(fits(one, job) for one in where.every)
        and (not where.some or any(fits(one, job) for one in where.some))
        and not any(fits(one, job) for one in where.none)
    )


def _has_values(where: JobWhere, job: Job) -> bool:
    return (
        (not where.states or job.state in where.states)
        and (not where.tasks or job.task in where.tasks)
        and (not where.queues or job.queue in where.queues)
        and (not where.keys or job.key in where.keys)
        and (not where.owners or job.owner in where.owners)
        and (not where.tags or any(tag in where.tags for tag in job.tags))
        and (not where.priorities or job.priority in where.priorities)
        and (not where.reasons or job.reason in where.reasons)
        and (not where.parents or job.retry_of in where.parents)
    )


def _has_error(text: str, job: Job) -> bool:
    return job.error is not None and (_has_text(job.error.type, text) or _has_text(job.error.message, text))


def _has_text(text: str, part: str) -> bool:
    return folded(part) in folded(text)


MISSING = object()
"""What is where a document has no value."""


def value_at(document: Any, steps: tuple[Step, ...]) -> Any:
    """Return the value that a path leads to, MISSING where it leads nowhere."""
    for step in steps:
        document = _within(document, step)
    return document


def holds(one: PathWhere, document: Any) -> bool:
    """Tell whether the value at the path is what it is to be."""
    value = value_at(document, one.steps)
    if one.exists is not None and one.exists is (value is MISSING):
        return False
    if one.equals and not any(same(value, other) for other in one.equals):
        return False
    if one.contains and not (isinstance(value, str) and _has_text(value, one.contains)):
        return False
    if (one.at_least, one.at_most) == (None, None):
        return True
    return (
        _is_number(value)
        and (one.at_least is None or value >= one.at_least)
        and (one.at_most is None or value <= one.at_most)
    )


def _within(value: Any, step: Step) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(value: Any, other: Scalar) -> bool:
    """Tell whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if _is_number(value) and _is_number(other):
        return bool(value == other)
    return type(value) is type(other) and value == other
