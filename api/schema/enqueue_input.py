"""What callers say when they enqueue: options, backoff, and the input of the generic mutation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case, to_snake_case

from api.schema.scalars import JSON, milliseconds
from jobs import job as vocabulary
from jobs.commands.request import EnqueueRequest
from jobs.errors import InvalidOption, RequestError
from jobs.job import BackoffKind, Priority

_DEFAULT = vocabulary.Backoff()


@strawberry.input
class BackoffInput:
    """Delay before the next attempt; n is the number of failed attempts so far."""

    kind: BackoffKind = _DEFAULT.kind
    """How the delay grows: base * factor ^ (n - 1), base * n, or base."""
    base: timedelta = timedelta(seconds=_DEFAULT.base_s)
    """Delay before the second attempt, at most 7 days."""
    factor: float = _DEFAULT.factor
    """What an exponential delay is multiplied by each time, at most 1,000."""
    max: timedelta = timedelta(seconds=_DEFAULT.max_s)
    """Longest delay, at most 30 days."""
    jitter: float = _DEFAULT.jitter
    """Part of the delay that is drawn at random, 0 to 1."""

    def read(self) -> vocabulary.Backoff:
        """Return the backoff as the doors know it."""
        return vocabulary.Backoff(
            kind=self.kind,
            base_s=self.base.total_seconds(),
            factor=self.factor,
            max_s=self.max.total_seconds(),
            jitter=self.jitter,
        )


@strawberry.input
class EnqueueOptions:
    """How a job is run. What is left out comes from the task's own definition."""

    queue: str | None = None
    """Name of the queue: letters, digits, `.`, `_`, `-`; at most 128."""
    priority: Priority | None = None
    """Order within the queue."""
    scheduled_at: datetime | None = None
    """Not before this time; at most one minute in the past and ten years ahead."""
    delay: timedelta | None = None
    """Not before so long after it is accepted, by the server's clock: at most ten years. Instead of `scheduledAt`."""
    max_attempts: int | None = None
    """Attempts in all, the first included: 1 to 100."""
    backoff: BackoffInput | None = None
    """Delay before the next attempt after a failure."""
    timeout: timedelta | None = None
    """Longest time of one attempt: at most 7 days, PT0S for no limit."""
    key: str | None = None
    """Deduplication key: while a job of this task and key has not ended, it is returned instead of a second one."""
    idempotency_key: str | None = None
    """The caller's own key: within 24 hours the same job is returned instead of a second one."""
    owner: str | None = None
    """Whom the job belongs to; at most 128 characters."""
    tags: list[str] | None = None
    """At most 32 labels that lists can be filtered by: letters, digits, `.`, `_`, `=`, `:`, `-`."""
    metadata: JSON | None = None
    """A JSON object of at most 16 KiB that travels with the job."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> EnqueueOptions:
        """Make options of a coerced input whose names are still those of GraphQL."""
        values = {to_snake_case(name): value for name, value in given.items()}
        if values.get("backoff") is not None:
            values["backoff"] = BackoffInput(**values["backoff"])
        return cls(**values)

    def read(self, task: str, args: object) -> EnqueueRequest:
        """Return the request as the doors know it. Raises InvalidOption."""
        if self.metadata is not None and not isinstance(self.metadata, dict):
            raise InvalidOption("metadata must be a JSON object.", path=("metadata",))
        return EnqueueRequest(
            task=task,
            args=args,
            queue=self.queue,
            priority=self.priority,
            scheduled_ms=milliseconds(self.scheduled_at) if self.scheduled_at else None,
            delay_s=None if self.delay is None else self.delay.total_seconds(),
            max_attempts=self.max_attempts,
            backoff=self.backoff.read() if self.backoff else None,
            timeout_s=None if self.timeout is None else self.timeout.total_seconds(),
            key=self.key,
            idempotency_key=self.idempotency_key,
            owner=self.owner,
            tags=tuple(self.tags or ()),
            metadata=self.metadata,
        )


@strawberry.input
class JobEnqueueInput(EnqueueOptions):
    """A job to accept, of any task."""

    task: str
    """Name of a task that a worker has published."""
    args: JSON | None = None
    """Arguments as a JSON object, by the names that `Task.argsSchema` has: those of the Python function, `step_s` where
    the task's own mutation has `stepS`. What is left out is stored with its default."""


def input_path(error: RequestError) -> list[str]:
    """Return the path of a refusal in the names of the input; below `args` they are those of the task."""
    if not error.path or error.path[0] == "args":
        return [str(part) for part in error.path]
    return [to_camel_case(str(part)) for part in error.path]
