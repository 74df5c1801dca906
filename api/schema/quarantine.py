"""The quarantine: records that could not be read."""

from __future__ import annotations

from datetime import datetime

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection
from api.schema.enqueue_input import input_path
from api.schema.error import UserError, user_error
from api.schema.node import Node, node_id, parse_node_id
from api.schema.scalars import Cursor
from jobs.errors import RequestError
from jobs.page import Page
from jobs.quarantine import Quarantined, Source

strawberry.enum(Source, name="QuarantineSource")

KIND = "QuarantineRecord"


def record_id(root: strawberry.Parent[Quarantined]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id(KIND, str(root.id))


@strawberry.type
class QuarantineRecord(Node):
    """A record that could not be read. Nothing stopped for it, and it was kept as it was found."""

    node_id: strawberry.ID = strawberry.field(name="id", resolver=record_id)
    source: Source
    """Where it was found."""
    ref: str
    """What it is a record of: the id of a job, the name of a task, the place of an event."""
    reason: str
    """Why it could not be read."""
    record: str
    """The record as it was found. Bytes are written as in Python, between quotes."""
    at_ms: datetime = strawberry.field(name="at")
    """When it was found first."""

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is such a record."""
        return isinstance(obj, Quarantined)


@strawberry.type
class QuarantineQuery:
    """Queries of the quarantine."""

    @strawberry.field(graphql_type=Connection[QuarantineRecord] | None)
    async def quarantine(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[Quarantined]:
        """Records that could not be read, the newest first: the latest 10,000. For admins.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.quarantine.page(info.context.viewer, window)


@strawberry.input
class QuarantineRemoveInput:
    """Which record to remove."""

    id: strawberry.ID
    """Id of the record."""


@strawberry.type
class QuarantineRemovePayload:
    """What became of a record that was to be removed."""

    removed_id: strawberry.ID | None = None
    """Its id, where it was removed."""
    user_errors: list[UserError] = strawberry.field(default_factory=list)
    """Why the request was refused; empty where it was not."""


@strawberry.type
class QuarantineMutation:
    """Mutations of the quarantine."""

    @strawberry.mutation(graphql_type=QuarantineRemovePayload | None)
    async def quarantine_remove(self, info: Info, input: QuarantineRemoveInput) -> QuarantineRemovePayload:
        """Remove a record that somebody has looked at. Where it is found again, it is kept again. For admins.

        Args:
            input: Which record.
        """
        try:
            kind, key = parse_node_id(input.id)
            await info.context.client.commands.quarantine.remove(info.context.viewer, key if kind == KIND else "")
        except RequestError as error:
            return QuarantineRemovePayload(user_errors=[user_error(error, input_path(error))])
        return QuarantineRemovePayload(removed_id=input.id)
