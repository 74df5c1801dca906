"""A server learns a script when it is first called there; and it may end at any moment of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs.broker import Broker, Push, scripts
from jobs.errors import BrokerUnavailable, EpochChanged
from tests.factories import make_settings, make_spec, make_worker_info
from tests.redis_server import RedisServer

Interrupt = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that may be killed."""
    server = RedisServer(Path(tmp_path_factory.mktemp("own")), append_only=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own(server: RedisServer) -> AsyncIterator[Broker]:
    broker = await Broker.open(server.url, make_settings())
    await broker.raise_epoch(1)
    yield broker
    await broker.close()


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Lets something happen once, when a function of scripts.py has done its work."""

    def after(name: str, event: Callable[[], None]) -> None:
        function = getattr(scripts, name)

        def done() -> None:
            monkeypatch.setattr(scripts, name, function)
            event()

        async def call(*args: Any) -> None:
            await function(*args)
            done()

        def call_sync(*args: Any) -> None:
            function(*args)
            done()

        monkeypatch.setattr(scripts, name, call if name == "_teach" else call_sync)

    return after


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()


def forget(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.script_flush()


def knows(server: RedisServer, script: str) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.script_exists(scripts.SHA[script])[0])


@pytest.mark.parametrize("happens", [restart, forget])
async def test_a_server_that_has_forgotten_what_it_was_just_taught_was_started_anew(
    happens: Callable[[RedisServer], None], own: Broker, server: RedisServer, after: Interrupt
) -> None:
    after("_teach", lambda: happens(server))
    with pytest.raises((EpochChanged, BrokerUnavailable)):
        await scripts.run(own.client, "forget", (0, 0, 1), "1")


async def test_a_thread_is_told_the_same(own: Broker, server: RedisServer, after: Interrupt) -> None:
    session = await own.open_session(make_worker_info())
    forget(server)
    after("_teach_sync", lambda: forget(server))
    with own.thread_client() as client, pytest.raises(EpochChanged):
        scripts.run_sync(client, "session", ("close", session.id), "1")
    await session.close()


async def test_a_server_that_was_not_checked_learns_nothing(own: Broker, server: RedisServer, after: Interrupt) -> None:
    """It may have an older copy, on which nobody is to work before the reconciler has begun an epoch for it."""
    after("_check_process", lambda: restart(server))
    with pytest.raises((EpochChanged, BrokerUnavailable)):
        await scripts.run(own.client, "forget", (0, 0, 1), "1")
    assert not knows(server, "forget")
    with pytest.raises(EpochChanged):
        await own.push([Push(spec=make_spec())])


async def test_a_thread_does_not_teach_it_either(own: Broker, server: RedisServer, after: Interrupt) -> None:
    session = await own.open_session(make_worker_info())
    forget(server)
    after("_check_process", lambda: restart(server))
    with own.thread_client() as client, pytest.raises((EpochChanged, BrokerUnavailable)):
        scripts.run_sync(client, "session", ("close", session.id), "1")
    assert not knows(server, "session")
    await session.close()
