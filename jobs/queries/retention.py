"""Queries about what is kept, and for how long."""

from __future__ import annotations

import msgspec

from jobs.broker import Broker
from jobs.name import check_queue
from jobs.page import Page, PageRequest
from jobs.queries import keyset
from jobs.retention import Kind, Policy, Preview, Standing, check, grace_ms
from jobs.store import Store
from jobs.viewer import Permission, Viewer, authorise


class RetentionQueries:
    """Every policy that is in force, and what one would remove."""

    def __init__(self, store: Store, broker: Broker, *, replay_window_s: float) -> None:
        self._store = store
        self._broker = broker
        self._grace_ms = grace_ms(replay_window_s)
        window = Policy(kind=Kind.EVENT, keep_s=int(replay_window_s), every_s=1)
        self._events = Standing(policy=window, is_shipped=False)

    async def page(self, viewer: Viewer, page: PageRequest) -> Page[Standing]:
        """Return a page of policies by kind and queue. Raises Forbidden, InvalidCursor, StoreUnavailable."""
        authorise(viewer, Permission.READ)
        standing = {_name(one): one for one in await self._all()}
        names = keyset.window(sorted(standing), page)
        return Page(
            items=[standing[name] for name in names.items],
            cursors=names.cursors,
            has_next=names.has_next,
            has_previous=names.has_previous,
        )

    async def get(self, viewer: Viewer, kind: str, queue: str) -> Standing | None:
        """Return the policy that was set for a queue, or that for all queues ("").

        None where the queue has none of its own. Raises Forbidden, StoreUnavailable.
        """
        authorise(viewer, Permission.READ)
        standing = {_name(one): one for one in await self._all()}
        return standing.get(f"{kind}:{queue}")

    async def preview(self, viewer: Viewer, policy: Policy) -> Preview:
        """Count what a policy would remove if it ran now; one that keeps everything stands for the one in force.

        Raises Forbidden, InvalidOption, Unavailable.
        """
        authorise(viewer, Permission.READ)
        check_queue(policy.queue or None)
        if policy.keeps_all:
            standing = {one.policy.queue: one for one in await self._all() if one.policy.kind is policy.kind}
            in_force = (standing.get(policy.queue) or standing[""]).policy
            policy = msgspec.structs.replace(in_force, queue=policy.queue)
        else:
            check(policy)
        now_ms = await self._broker.now_ms()
        return await self._store.retention.preview(policy, now_ms=now_ms, grace_ms=self._grace_ms)

    async def _all(self) -> list[Standing]:
        return [*await self._store.retention.standing(), self._events]


def _name(standing: Standing) -> str:
    return f"{standing.policy.kind}:{standing.policy.queue}"
