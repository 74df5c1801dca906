"""What is kept, and for how long: policies, and what they would remove."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import strawberry

from api.context import Info
from api.paging import page_request
from api.schema.connection import Connection, Count, CountPrecision
from api.schema.node import Node, node_id
from api.schema.scalars import BigInt, Cursor
from jobs.name import check_queue
from jobs.page import Page
from jobs.retention import Kind, Policy, Preview, Share, Standing

strawberry.enum(Kind, name="RetentionKind")

NODE = "RetentionPolicy"
SHARES_MAX = 100


def policy_id(root: strawberry.Parent[Standing]) -> strawberry.ID:
    """Opaque and stable; of no two objects the same."""
    return node_id(NODE, f"{root.policy.kind}:{root.policy.queue}")


def next_run(root: strawberry.Parent[Standing], info: Info) -> datetime | None:
    """When it is to run next; null where it keeps everything."""
    next_ms: object = root.next_ms
    return info.context.client.clock() if next_ms == 0 else next_ms  # type: ignore[return-value]  # as every DateTime


@strawberry.type
class RetentionPolicy(Node):
    """How long records of one kind are kept. What is older, or beyond the newest so many, is removed."""

    id: strawberry.ID = strawberry.field(resolver=policy_id)
    kind: Kind = strawberry.field(resolver=lambda root: root.policy.kind, graphql_type=Kind)
    """What it is about."""
    queue: str | None = strawberry.field(resolver=lambda root: root.policy.queue or None, graphql_type=str | None)
    """The queue whose jobs it is about; null: all queues that have no policy of their own for this kind."""
    keep_for: timedelta | None = strawberry.field(
        resolver=lambda root: root.policy.keep_s, graphql_type=timedelta | None
    )
    """How long a record is kept; jobs from when they ended. Null: whatever its age."""
    keep_count: int | None = strawberry.field(resolver=lambda root: root.policy.keep_count, graphql_type=int | None)
    """How many jobs of each queue are kept, the newest; null: however many."""
    every: timedelta = strawberry.field(resolver=lambda root: root.policy.every_s, graphql_type=timedelta)
    """How often it runs."""
    is_shipped: bool
    """Whether nobody has set it."""
    ran_ms: datetime | None = strawberry.field(name="ranAt")
    """When it last ran to its end."""
    removed: int
    """How many records its last run removed."""
    removed_total: BigInt
    """How many records it has removed in all."""
    next_run_at: datetime | None = strawberry.field(resolver=next_run)

    @classmethod
    def is_type_of(cls, obj: object, _info: object) -> bool:
        """Tell whether an object that a resolver returned is a policy."""
        return isinstance(obj, Standing)


def _count(root: strawberry.Parent[Share | Preview]) -> Count:
    """How many there are. They are counted up to 10,001 in all."""
    return Count(value=root.value, precision=CountPrecision.EXACT if root.whole else CountPrecision.AT_LEAST)


@strawberry.type
class RetentionShare:
    """What a policy would remove of one queue."""

    queue: str | None = strawberry.field(resolver=lambda root: root.queue or None, graphql_type=str | None)
    """Name of the queue; null where what it is about has none."""
    count: Count = strawberry.field(resolver=_count)
    oldest_ms: datetime | None = strawberry.field(name="oldestAt")
    """When the oldest of them ended or was made."""
    newest_ms: datetime | None = strawberry.field(name="newestAt")
    """When the newest of them ended or was made."""


def _shares(root: strawberry.Parent[Preview]) -> list[Any]:
    """Queues that would lose something, those that would lose most first; 100 of them at most."""
    return sorted(root.shares, key=lambda share: (-share.value, share.queue))[:SHARES_MAX]


@strawberry.type
class RetentionPreview:
    """What a policy would remove if it ran now."""

    kind: Kind
    """What it is about."""
    count: Count = strawberry.field(resolver=_count)
    oldest_at: datetime | None = strawberry.field(
        resolver=lambda root: min((share.oldest_ms for share in root.shares), default=None),
        graphql_type=datetime | None,
    )
    """When the oldest of them ended or was made."""
    newest_at: datetime | None = strawberry.field(
        resolver=lambda root: max((share.newest_ms for share in root.shares), default=None),
        graphql_type=datetime | None,
    )
    """When the newest of them ended or was made."""
    shares: list[RetentionShare] = strawberry.field(resolver=_shares, graphql_type=list[RetentionShare])


@strawberry.input
class RetentionPreviewInput:
    """A policy to try. With neither `keepFor` nor `keepCount` it is the one in force."""

    kind: Kind
    """What it is about."""
    queue: str | None = None
    """The queue whose jobs it is about; left out: all queues that have no policy of their own for this kind."""
    keep_for: timedelta | None = None
    """How long a record is kept; left out: whatever its age."""
    keep_count: int | None = None
    """How many jobs of each queue are kept, the newest; left out: however many."""


@strawberry.type
class RetentionQuery:
    """Queries of what is kept."""

    @strawberry.field(graphql_type=Connection[RetentionPolicy] | None)
    async def retention_policies(
        self,
        info: Info,
        first: int | None = None,
        after: Cursor | None = None,
        last: int | None = None,
        before: Cursor | None = None,
    ) -> Page[Standing]:
        """Every policy in force, by kind and queue.

        Args:
            first: So many from the start, 1 to 100; 20 where neither is given.
            after: Only what comes behind this cursor.
            last: So many from the end, 1 to 100.
            before: Only what comes ahead of this cursor.
        """
        window = page_request(first, after, last, before)
        return await info.context.client.queries.retention.page(info.context.viewer, window)

    @strawberry.field(graphql_type=RetentionPreview | None)
    async def retention_preview(self, info: Info, policy: RetentionPreviewInput) -> Preview:
        """Count what a policy would remove if it ran now. Nothing is removed.

        Args:
            policy: The policy.
        """
        given = Policy(
            kind=policy.kind,
            queue=queue_of(policy.queue),
            keep_s=seconds(policy.keep_for),
            keep_count=policy.keep_count,
        )
        return await info.context.client.queries.retention.preview(info.context.viewer, given)


def queue_of(name: str | None) -> str:
    """The queue of a policy, "" for all of them. Raises InvalidOption: an empty name is a mistake, and means none."""
    check_queue(name)
    return name or ""


def seconds(length: timedelta | None) -> int | None:
    """Whole seconds of a length of time that may be left out."""
    return None if length is None else int(length.total_seconds())
