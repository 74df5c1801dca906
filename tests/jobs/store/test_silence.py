"""A database that is silent refuses in time, and works again without a restart."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest

from jobs import probe
from jobs.errors import StoreUnavailable
from jobs.store import Store, group, postgres, turn
from jobs.store.config import sqlite_path
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.tcp_proxy import TcpProxy
from tests.wait import eventually

WAIT_S = 1.5
ONE_WAIT_S = 2.7
"""Longer than one wait, shorter than two."""

postgres_only = pytest.mark.parametrize("dialect", ["postgres"])
sqlite_only = pytest.mark.parametrize("dialect", ["sqlite"])


@pytest.fixture
def proxy(database_url: str) -> Iterator[TcpProxy]:
    with TcpProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store on the far side of the proxy, with less patience than in production."""
    monkeypatch.setattr(postgres, "CONNECT_S", WAIT_S)
    monkeypatch.setattr(postgres, "COMMAND_S", WAIT_S)
    monkeypatch.setattr(group, "RETRY_S", 0.1)
    far = await Store.open(proxy.url)
    yield far
    proxy.release()
    await far.close()


async def took_s(call: Coroutine[Any, Any, Any]) -> float:
    """Seconds until the call gives the database up."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await call
    return time.monotonic() - began


async def until_health(store: Store, ok: bool) -> str:
    async def so() -> str | None:
        health = await store.health()
        return health.detail if health.ok is ok else None

    return await eventually(so)


@postgres_only
async def test_every_call_to_a_silent_server_ends(far: Store, proxy: TcpProxy) -> None:
    await far.accept.accept(make_spec())
    proxy.hold()
    assert await took_s(far.search.count(JobWhere())) < ONE_WAIT_S
    assert await took_s(far.accept.accept(make_spec())) < ONE_WAIT_S
    assert await took_s(far.epoch.raise_to(0, "r")) < ONE_WAIT_S
    proxy.release()
    async with asyncio.timeout(2):
        assert not (await far.accept.accept(make_spec())).duplicate
        assert await far.epoch.raise_to(0, "r") == 1


@postgres_only
async def test_a_server_that_falls_silent_in_a_transaction_is_not_waited_for_twice(far: Store, proxy: TcpProxy) -> None:
    async def write() -> None:
        async with far._database.transaction() as transaction:  # the store has no call that stops half way
            await transaction.execute("UPDATE job SET owner = 'x'")
            proxy.hold()
            await transaction.execute("UPDATE job SET owner = 'y'")

    assert await took_s(write()) < ONE_WAIT_S
    proxy.release()
    assert not (await far.accept.accept(make_spec())).duplicate


@postgres_only
async def test_connections_that_died_without_a_word_cost_one_wait(far: Store, proxy: TcpProxy) -> None:
    await asyncio.gather(*(far.search.count(JobWhere()) for _ in range(5)))
    assert proxy.connections > 3
    proxy.strand()
    await took_s(far.search.count(JobWhere()))
    began = time.monotonic()
    await asyncio.gather(*(far.search.count(JobWhere()) for _ in range(5)))
    assert time.monotonic() - began < WAIT_S


@postgres_only
async def test_what_expired_is_given_up_without_a_word(
    far: Store, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    monkeypatch.setattr(postgres, "CONNECT_S", 0.3)
    await asyncio.gather(*(far.search.count(JobWhere()) for _ in range(5)))
    pool = far._database._pool  # type: ignore[attr-defined]  # whose own task it is
    await pool.expire_connections()
    proxy.hold()
    await took_s(far.search.count(JobWhere()))
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in tasks if "close" in repr(task.get_coro())]
    await asyncio.wait(tasks, timeout=5)
    del tasks
    gc.collect()
    assert said == []


@postgres_only
async def test_however_many_wait_all_are_refused_together(far: Store, proxy: TcpProxy) -> None:
    proxy.hold()
    callers = [asyncio.create_task(far.accept.accept(make_spec())) for _ in range(3_000)]
    began = time.monotonic()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert time.monotonic() - began < 3
    assert {type(answer) for answer in answers} == {StoreUnavailable}


@postgres_only
async def test_health_tells_of_a_silent_server(far: Store, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ASK_S", 0.1)
    assert await until_health(far, ok=True) == "The database answers."
    proxy.hold()
    began = time.monotonic()
    assert not (await far.health()).ok
    assert time.monotonic() - began < WAIT_S
    proxy.release()
    await until_health(far, ok=True)


@sqlite_only
async def test_health_tells_of_a_writer_that_keeps_the_file(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "WAIT_S", 0.2)
    path = sqlite_path(database_url)
    assert path
    await until_health(store, ok=True)
    with closing(path.with_name(f"{path.name}-write.lock").open("r+")) as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        assert "another process keeps it locked" in await until_health(store, ok=False)
    await until_health(store, ok=True)
