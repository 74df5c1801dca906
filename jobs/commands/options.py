"""The options of a job: what is allowed, and what they are where the caller says nothing."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from jobs.commands import text
from jobs.commands.request import EnqueueRequest
from jobs.errors import InvalidOption
from jobs.job import Backoff, Durability, JobSpec
from jobs.task import TaskDefinition

MINUTE_MS = 60_000
YEAR_MS = 365 * 24 * 60 * MINUTE_MS
DAY_S = 86_400

NAME_MAX = 128
KEY_MAX = 512
TAGS_MAX = 32
METADATA_MAX = 16 * 1024
ATTEMPTS_MAX = 100
TIMEOUT_MAX_S = 7 * DAY_S
PAST_MAX_MS = MINUTE_MS
AHEAD_MAX_MS = 10 * YEAR_MS

_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_MAX}}}")
_TAG = re.compile(rf"[A-Za-z0-9._=:-]{{1,{NAME_MAX}}}")  # "tenant=42" is a tag


def build_spec(request: EnqueueRequest, definition: TaskDefinition, *, job_id: str, args: bytes, at_ms: int) -> JobSpec:
    """Check the options of a request and fill in the task's own.

    Raises InvalidOption; its path and its message name fields as clients of the API write them.
    """
    _check(request, definition, at_ms)
    scheduled_ms = request.scheduled_ms or 0
    if request.delay_s is not None:
        scheduled_ms = at_ms + round(request.delay_s * 1_000)
    return JobSpec(
        id=job_id,
        task=definition.name,
        queue=_or(request.queue, definition.queue),
        args=msgspec.Raw(args),
        priority=_or(request.priority, definition.priority),
        created_ms=at_ms,
        scheduled_ms=scheduled_ms if scheduled_ms > at_ms else 0,
        max_attempts=_or(request.max_attempts, definition.max_attempts),
        backoff=_or(request.backoff, definition.backoff),
        timeout_s=_or(request.timeout_s, definition.timeout_s),
        durability=definition.durability,
        owner=request.owner or "",
        tags=tuple(dict.fromkeys(request.tags)),
        metadata=request.metadata or {},
        key=request.key or "",
        idempotency_key=request.idempotency_key or "",
    )


def _or(given: Any, default: Any) -> Any:
    return default if given is None else given


def _check(request: EnqueueRequest, definition: TaskDefinition, at_ms: int) -> None:
    if request.queue is not None and not _NAME.fullmatch(request.queue):
        raise InvalidOption(_name_rule("queue", "."), path=("queue",))
    _check_tags(request.tags)
    _check_text(request.key, "key", KEY_MAX)
    _check_text(request.idempotency_key, "idempotencyKey", KEY_MAX)
    _check_text(request.owner, "owner", NAME_MAX)
    if definition.durability is Durability.MEMORY and (request.key or request.idempotency_key):
        name = "key" if request.key else "idempotencyKey"
        raise InvalidOption(
            f"{name} needs a task with durability STORE; {definition.name} has MEMORY, which keeps no keys.",
            path=(name,),
        )
    _check_metadata(request.metadata)
    if request.scheduled_ms is not None:
        _check_time(request.scheduled_ms, at_ms)
    if request.delay_s is not None:
        _check_delay(request.delay_s, request.scheduled_ms)
    if request.max_attempts is not None and not 1 <= request.max_attempts <= ATTEMPTS_MAX:
        raise InvalidOption(f"maxAttempts must be from 1 to {ATTEMPTS_MAX}.", path=("maxAttempts",))
    if request.timeout_s is not None and not 0 <= request.timeout_s <= TIMEOUT_MAX_S:
        raise InvalidOption("timeout must be from 0 (no limit) to 7 days.", path=("timeout",))
    if request.backoff is not None:
        _check_backoff(request.backoff)


def _name_rule(what: str, more: str) -> str:
    return f"{what} must have 1 to {NAME_MAX} characters, each a letter from A to Z, a digit, '_', '-' or '{more}'."


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > TAGS_MAX:
        raise InvalidOption(f"A job has at most {TAGS_MAX} tags; {len(tags)} were given.", path=("tags",))
    for index, tag in enumerate(tags):
        if not _TAG.fullmatch(tag):
            raise InvalidOption(_name_rule("A tag", ".', ':' or '="), path=("tags", index))


def _check_text(value: str | None, name: str, limit: int) -> None:
    if value is None:
        return
    if not 1 <= len(value) <= limit:
        raise InvalidOption(f"{name} must have 1 to {limit} characters; it has {len(value)}.", path=(name,))
    if fault := text.text_fault(value):
        raise InvalidOption(f"{name} {fault}.", path=(name,))


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise InvalidOption("metadata must be a JSON object.", path=("metadata",))
    size = len(text.encode(metadata, ("metadata",), InvalidOption))
    if size > METADATA_MAX:
        raise InvalidOption(f"metadata takes {size:,} bytes; at most {METADATA_MAX:,} are allowed.", path=("metadata",))


def _check_time(scheduled_ms: int, at_ms: int) -> None:
    if scheduled_ms < at_ms - PAST_MAX_MS:
        raise InvalidOption(
            "The scheduled time is more than one minute in the past; leave it out to run the job at once.",
            path=("scheduledAt",),
        )
    if scheduled_ms > at_ms + AHEAD_MAX_MS:
        raise InvalidOption("The scheduled time must be at most ten years ahead.", path=("scheduledAt",))


def _check_delay(delay_s: float, scheduled_ms: int | None) -> None:
    if scheduled_ms is not None:
        raise InvalidOption("Give delay or scheduledAt, not both.", path=("delay",))
    if not 0 <= delay_s * 1_000 <= AHEAD_MAX_MS:
        raise InvalidOption("delay must be from 0 to ten years.", path=("delay",))


def _check_backoff(backoff: Backoff) -> None:
    rules = (
        ("base", backoff.base_s, 7 * DAY_S, "0 to 7 days"),
        ("factor", backoff.factor, 1_000, "0 to 1,000"),
        ("max", backoff.max_s, 30 * DAY_S, "0 to 30 days"),
        ("jitter", backoff.jitter, 1, "0 to 1"),
    )
    for name, value, most, rule in rules:
        if not 0 <= value <= most:  # NaN does not pass either
            raise InvalidOption(f"The backoff's {name} must be from {rule}.", path=("backoff", name))
