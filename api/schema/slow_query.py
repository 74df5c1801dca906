"""Statements of the database that took long."""

from __future__ import annotations

from datetime import datetime, timedelta

import strawberry

from api.context import Info
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from jobs.errors import RequestError
from jobs.queries import SlowQuery as Slow


def total(root: strawberry.Parent[Slow]) -> timedelta:
    """How long it took all those times together."""
    return timedelta(milliseconds=root.total_ms)


def worst(root: strawberry.Parent[Slow]) -> timedelta:
    """How long it took when it was slowest."""
    return timedelta(milliseconds=root.worst_ms)


@strawberry.type
class SlowQuery:
    """A statement that took as long as QUEUEQL_SLOW_QUERY_MS, or longer, at least once."""

    fingerprint: str
    """SHA-256 of its text."""
    sql: str
    """Its text, without any value that it was given; at most 10,000 characters."""
    count: int
    """How many times it was slow."""
    total: timedelta = strawberry.field(resolver=total)
    worst: timedelta = strawberry.field(resolver=worst)
    worst_at_ms: datetime = strawberry.field(name="worstAt")
    """When that was."""
    last_at_ms: datetime = strawberry.field(name="lastAt")
    """When it was slow last."""
    process: str
    """Where it was slowest: host and process id."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is such a statement."""
        return isinstance(obj, Slow)


@strawberry.type
class SlowQueryQuery:
    """Queries about slow statements."""

    @strawberry.field(graphql_type=list[SlowQuery] | None)
    async def slow_queries(self, info: Info) -> list[Slow]:
        """The statements that were slowest in any process, the worst first: 100 at most, for admins.

        Each process adds its own every few seconds. They stay until they are cleared, or until 100 others were slower.
        """
        return await info.context.client.queries.slow_query.worst(info.context.viewer)


@strawberry.input
class SlowQueriesClearInput:
    """Which slow statements to forget."""

    fingerprint: str | None = None
    """Only this one; all of them where it is left out."""


@strawberry.type
class SlowQueriesClearPayload:
    """What became of the slow statements."""

    cleared: int | None = None
    """How many there were."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class SlowQueryMutation:
    """Mutations of slow statements."""

    @strawberry.mutation(graphql_type=SlowQueriesClearPayload | None)
    async def slow_queries_clear(self, info: Info, input: SlowQueriesClearInput) -> SlowQueriesClearPayload:
        """Forget slow statements, to see what is slow from now on. For admins.

        Args:
            input: Which ones.
        """
        try:
            cleared = await info.context.client.commands.slow_query.clear(info.context.viewer, input.fingerprint)
        except RequestError as error:
            return SlowQueriesClearPayload(user_errors=[user_error(error, input_path(error))])
        return SlowQueriesClearPayload(cleared=cleared)
