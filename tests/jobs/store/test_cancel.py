"""Requests to cancel, where several write at once."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from jobs.store import Store
from jobs.store.cancel import Asked, CancelRequest
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale
from tests.wait import eventually

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("dialect", ["postgres"])
async def test_what_is_retried_while_a_request_waits_is_asked_as_it_is_then(
    store: Store, story: Story, database_url: str
) -> None:
    held, dead = make_spec(), make_spec()
    await store.accept.accept_many([held, dead])
    await story.record(Tale(dead).enqueued().cancelled())
    other = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            lock = other.transaction()
            await lock.start()
            await other.execute("SELECT 1 FROM job WHERE id = $1 FOR UPDATE", held.id)
            asked = [group.create_task(store.cancel.ask(spec.id)) for spec in (held, dead)]
            await eventually(lambda: other.fetchval(WAITS), what="the request that waits for the lock")
            await store.accept.rerun(dead.id)
            await lock.commit()
    finally:
        await other.close()
    assert [task.result() for task in asked] == [Asked(1, ended=False), Asked(2, ended=False)]
    requests = await store.cancel.requested(after_id="", limit=10)
    assert requests == [CancelRequest(held.id, 1), CancelRequest(dead.id, 2)]
