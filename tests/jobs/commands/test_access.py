"""Who may do what, and how a viewer signs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs.client import Client
from jobs.commands import EnqueueRequest
from jobs.errors import Forbidden
from jobs.job import State
from jobs.store import TokenKind
from jobs.viewer import Role
from tests.jobs.commands.requests import ADMIN, OPERATOR, READER, all_jobs, enqueue
from tests.wait import until


async def test_a_reader_changes_nothing(client: Client) -> None:
    commands, request = client.commands.job, EnqueueRequest(task="noop")
    job = (await enqueue(client)).job
    await until(lambda: client.pusher.pushed)
    attempts: list[Callable[[], Any]] = [
        lambda: commands.enqueue(READER, request),
        lambda: commands.enqueue_many(READER, [request]),
        lambda: commands.cancel(READER, job.id),
        lambda: commands.retry(READER, job.id),
        lambda: client.commands.token.issue(READER, TokenKind.API, name="n", role=Role.ADMIN),
        lambda: client.commands.token.issue(OPERATOR, TokenKind.API, name="n", role=Role.ADMIN),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await attempt()
    assert [(one.id, one.state) for one in await all_jobs(client)] == [(job.id, State.QUEUED)]
    figures = client.gate.figures
    assert (figures["job.enqueue"].calls, figures["job.enqueue"].refused) == (2, 1)
    assert figures["token.issue"].refused == 2


async def test_a_code_becomes_a_session_once(client: Client) -> None:
    code = await client.commands.token.issue(ADMIN, TokenKind.CODE, name="browser", role=Role.OPERATOR, ttl_s=60)
    assert await client.queries.token.authenticate(code) is None
    secret = await client.commands.token.exchange(code)
    assert secret is not None
    viewer = await client.queries.token.authenticate(secret)
    assert viewer is not None
    assert viewer.role is Role.OPERATOR
    assert await client.commands.token.exchange(code) is None
    assert await client.queries.token.authenticate("qq_x_y") is None
