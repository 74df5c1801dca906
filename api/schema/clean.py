"""Cleaning by hand: jobs that have ended are removed for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import strawberry

from api.context import Info
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from jobs.commands import Cleaned
from jobs.errors import RequestError
from jobs.job import State


@strawberry.input
class JobsCleanInput:
    """Which jobs to remove for good."""

    states: list[State]
    """States of the jobs, of those that are final: COMPLETED, CANCELLED, DEAD."""
    queues: list[str] | None = None
    """Names of the queues, 100 at most; left out: all."""
    older_than: timedelta = timedelta(days=1)
    """How long ago a job has ended at least; not less than the replay window, 10 minutes where it was not changed."""
    within: timedelta = timedelta(seconds=10)
    """For about how long to go on at most, up to 25 seconds. What is left then stays."""


@strawberry.input
class QueueCleanInput:
    """Which jobs of one queue to remove for good."""

    name: str
    """Name of the queue."""
    states: list[State]
    """States of the jobs, of those that are final: COMPLETED, CANCELLED, DEAD."""
    older_than: timedelta = timedelta(days=1)
    """How long ago a job has ended at least; not less than the replay window, 10 minutes where it was not changed."""
    within: timedelta = timedelta(seconds=10)
    """For about how long to go on at most, up to 25 seconds. What is left then stays."""


@strawberry.type
class JobsCleanPayload:
    """What became of jobs that were to be removed."""

    removed_count: int = 0
    """How many were removed."""
    is_complete: bool = False
    """Whether all that was asked for is gone; false where the time was up: repeat it then."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class QueueCleanPayload:
    """What became of jobs of a queue that were to be removed."""

    removed_count: int = 0
    """How many were removed."""
    is_complete: bool = False
    """Whether all that was asked for is gone; false where the time was up: repeat it then."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


async def _clean(
    info: Info, queues: Sequence[str], input: JobsCleanInput | QueueCleanInput
) -> tuple[Cleaned, list[UserError]]:
    try:
        return await info.context.client.commands.retention.clean(
            info.context.viewer,
            queues=queues,
            states=input.states,
            older_s=input.older_than.total_seconds(),
            within_s=input.within.total_seconds(),
        ), []
    except RequestError as error:
        path = input_path(error)
        if path == ["queues"] and isinstance(input, QueueCleanInput):
            path = ["name"]
        return Cleaned(removed=0, is_complete=False), [user_error(error, path)]


@strawberry.type
class CleanMutation:
    """Mutations that remove jobs."""

    @strawberry.mutation(graphql_type=JobsCleanPayload | None)
    async def jobs_clean(self, info: Info, input: JobsCleanInput) -> JobsCleanPayload:
        """Remove jobs that have ended, with their attempts and log lines, for good.

        Jobs whose idempotency key has not expired stay: it leads to them for 24 hours.

        Args:
            input: Which jobs.
        """
        done, errors = await _clean(info, input.queues or (), input)
        return JobsCleanPayload(removed_count=done.removed, is_complete=done.is_complete, user_errors=errors)

    @strawberry.mutation(graphql_type=QueueCleanPayload | None)
    async def queue_clean(self, info: Info, input: QueueCleanInput) -> QueueCleanPayload:
        """Remove jobs of a queue that have ended, with their attempts and log lines, for good.

        Jobs whose idempotency key has not expired stay: it leads to them for 24 hours.

        Args:
            input: Which jobs.
        """
        done, errors = await _clean(info, (input.name,), input)
        return QueueCleanPayload(removed_count=done.removed, is_complete=done.is_complete, user_errors=errors)
