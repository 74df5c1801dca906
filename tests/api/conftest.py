"""The API as a client meets it: a real server on a real Redis and database, and clients over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api.server import address_of, listen, running
from jobs.client import Client
from jobs.store import TokenKind
from jobs.viewer import SYSTEM, Role
from tests.api.caller import Caller
from tests.api.clock import ShiftedClock
from tests.api.tasks import registry
from tests.databases import database_url, sqlite_template  # noqa: F401  # fixtures
from tests.factories import make_settings
from tests.jobs.conftest import hand, open_client  # noqa: F401  # fixtures

OpenClient = Callable[..., Awaitable[Client]]
Serve = Callable[..., Awaitable[Caller]]


@pytest.fixture
def dialect(sqlite_template: object) -> str:  # noqa: F811  # the fixture
    """The database hardly matters to what is tested here; the modules where it does take both."""
    return "sqlite"


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def client(open_client: OpenClient, clock: ShiftedClock) -> Client:  # noqa: F811  # the fixture
    return await open_client(clock=clock)


@pytest.fixture
async def published(client: Client) -> Client:
    await client.commands.task.publish(registry.definitions())
    return client


@pytest.fixture
async def issue(published: Client) -> Callable[..., Awaitable[str]]:
    """Makes tokens."""

    async def issue(role: Role = Role.ADMIN, kind: TokenKind = TokenKind.API, ttl_s: float | None = None) -> str:
        return await published.commands.token.issue(SYSTEM, kind, name=f"test {role}", role=role, ttl_s=ttl_s)

    return issue


@pytest.fixture
async def serve(published: Client, issue: Callable[..., Awaitable[str]]) -> AsyncIterator[Serve]:
    """Starts servers with settings of their own; gives an admin at each."""
    async with AsyncExitStack() as stack:

        async def serve(**settings: Any) -> Caller:
            listener = stack.enter_context(listen("127.0.0.1", 0))
            host = address_of(listener)
            made = make_settings(port=int(host.rpartition(":")[2]), **settings)
            await stack.enter_async_context(running(published, made, listener))
            return await stack.enter_async_context(Caller(host, await issue()))

        yield serve


@pytest.fixture
async def address(serve: Serve) -> str:
    """Host and port of a running server."""
    return (await serve()).address


@pytest.fixture
async def anonymous(address: str) -> AsyncIterator[Caller]:
    async with Caller(address) as caller:
        yield caller


@pytest.fixture
async def api(address: str, issue: Callable[..., Awaitable[str]]) -> AsyncIterator[Caller]:
    """An admin."""
    async with Caller(address, await issue()) as caller:
        yield caller


@pytest.fixture
async def reader(address: str, issue: Callable[..., Awaitable[str]]) -> AsyncIterator[Caller]:
    """Somebody who may only read."""
    async with Caller(address, await issue(Role.VIEWER)) as caller:
        yield caller


@pytest.fixture
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What monitors read is read anew for each of them."""
    monkeypatch.setattr("jobs.recent.KEPT_S", 0.0)
    monkeypatch.setattr("jobs.probe.EVERY_S", 0.0)
