"""Mutations of what is kept. What cannot be done is answered as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import strawberry

from api.context import Info
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from api.schema.retention import RetentionPolicy, queue_of, seconds
from jobs.errors import RequestError
from jobs.retention import SHIPPED, Kind, Policy, Standing


@strawberry.input
class RetentionSetInput:
    """A policy to put in force. With neither `keepFor` nor `keepCount` everything is kept.

    With both, what violates either is removed.
    """

    kind: Kind
    """What it is about."""
    queue: str | None = None
    """The queue whose jobs it is about; left out: all queues that have no policy of their own for this kind."""
    keep_for: timedelta | None = None
    """How long a record is kept, jobs from when they ended, 100 years at most; left out: whatever its age."""
    keep_count: int | None = None
    """How many jobs of each queue are kept, the newest, 1,000,000 at most; left out: however many. Only for jobs."""
    every: timedelta | None = None
    """How often it runs, 1 minute to 31 days; left out: as often as the policy that is shipped."""


@strawberry.input
class RetentionRemoveInput:
    """A policy to remove. Its queue follows the one for all queues again, and that is as shipped again."""

    kind: Kind
    """What it is about."""
    queue: str | None = None
    """The queue that it is for; left out: the one for all queues."""


@strawberry.type
class RetentionSetPayload:
    """What became of a policy that was to be put in force."""

    policy: Standing | None = strawberry.field(graphql_type=RetentionPolicy | None, default=None)
    """The policy. It runs within about five seconds, unless it ran already within its time."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class RetentionRemovePayload:
    """What became of a policy that was to be removed."""

    policy: Standing | None = strawberry.field(graphql_type=RetentionPolicy | None, default=None)
    """The policy that is in force instead."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


async def _answer(command: Callable[[], Awaitable[Standing]]) -> tuple[Standing | None, list[UserError]]:
    try:
        return await command(), []
    except RequestError as error:
        return None, [user_error(error, input_path(error))]


@strawberry.type
class RetentionMutation:
    """Mutations of what is kept."""

    @strawberry.mutation(graphql_type=RetentionSetPayload | None)
    async def retention_set(self, info: Info, input: RetentionSetInput) -> RetentionSetPayload:
        """Put a policy in the place of the one that a queue, or all queues, had for this kind. For admins.

        It runs within about five seconds, unless it ran already within its time: look at `retentionPreview` first.

        Args:
            input: The policy.
        """
        put, viewer = info.context.client.commands.retention.set, info.context.viewer
        made, errors = await _answer(lambda: put(viewer, _policy(input)))
        return RetentionSetPayload(policy=made, user_errors=errors)

    @strawberry.mutation(graphql_type=RetentionRemovePayload | None)
    async def retention_remove(self, info: Info, input: RetentionRemoveInput) -> RetentionRemovePayload:
        """Remove a policy that was set. For admins.

        Args:
            input: Which policy.
        """
        remove, viewer = info.context.client.commands.retention.remove, info.context.viewer
        left, errors = await _answer(lambda: remove(viewer, input.kind, queue_of(input.queue)))
        return RetentionRemovePayload(policy=left, user_errors=errors)


def _policy(input: RetentionSetInput) -> Policy:
    return Policy(
        kind=input.kind,
        queue=queue_of(input.queue),
        keep_s=seconds(input.keep_for),
        keep_count=input.keep_count,
        every_s=_every_s(input),
    )


def _every_s(input: RetentionSetInput) -> int:
    given = seconds(input.every)
    if given is None and input.kind in SHIPPED:
        return SHIPPED[input.kind].every_s
    return given or 0
