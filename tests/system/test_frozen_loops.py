"""Parts of a process are frozen: each turns red within 15 seconds, and what does not need it stays green."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil

from api.health import lookout
from api.streams import Streams
from jobs.broker import Push
from jobs.client import Client
from jobs.context import Context
from jobs.ending import end
from jobs.errors import StoreUnavailable
from jobs.probe import Health
from jobs.services import Services
from jobs.task import Registry, task
from jobs.viewer import SYSTEM as VIEWER
from jobs.where import JobWhere
from jobs.worker import Engine
from tests.child import catch
from tests.databases import new_postgres
from tests.factories import make_settings, make_spec
from tests.freezer import Freezer
from tests.postgres_server import PostgresServer
from tests.tcp_proxy import TcpProxy
from tests.wait import eventually

RED_S = 15.0
GREEN_S = 15.0
SETTLE_S = 10.0
"""On a busy machine something may miss its two seconds to answer; by then it has answered again."""
LOOK_S = 0.1
SETTINGS = {"report_every_s": 3_600.0, "backup_every_s": 3_600.0, "snapshot_every_s": 86_400.0, "grace_s": 0.0}
"""With these the services start every loop that there is."""
REGISTRY = Registry()


class Red(NamedTuple):
    """What is red on /health of the API, of the services and of the worker."""

    api: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    worker: frozenset[str] = frozenset()


NEEDS_REDIS = {"recorder", "trimmer", "reconciler", "scheduler", "reaper", "herald", "cleaner"}
NEEDS_DATABASE = {"recorder", "reconciler", "snapshotter", "cleaner", "announcer", "archivist"}
WITHOUT_REDIS = Red(
    api=frozenset({"broker", "pusher", "feed", "system", "services", "workers", "queues"}),
    services=frozenset({"broker", *NEEDS_REDIS}),
    worker=frozenset({"worker"}),
)
WITHOUT_TURN = Red(
    api=frozenset({"store", "services"}), services=frozenset({"store", "recorder", *NEEDS_DATABASE - {"reconciler"}})
)
"""Where somebody else writes to SQLite, and does not end."""
WITHOUT_DATABASE = Red(
    api=frozenset({"store", "quarantine", "services"}), services=frozenset({"store", "quarantine", *NEEDS_DATABASE})
)
HUNG = Red(api=frozenset({"services"}), services=frozenset({"archivist"}))
"""Where a backup is made by a program that is frozen."""
WORKER = Red(api=frozenset({"workers"}), worker=frozenset({"worker"}))
OTHERS = {
    "pusher": Red(api=frozenset({"pusher"})),
    "group-commit": Red(api=frozenset({"store"}), services=frozenset({"store"})),
    "feed hub": Red(api=frozenset({"feed"})),
    "Tenure._serve": WORKER,
    "Watch._run": WORKER,
    "Reporter.run": WORKER,
    "Lease._run": WORKER,
}
"""Tasks and threads that are no loops of the services.

In alphabetical order each one of the worker is in a system of its own, and the reporter not in that of the pusher.
"""
READERS = Red(api=frozenset({"subscriptions"}))
ONLOOKER = Red(api=frozenset({"event_loop"}))
"""Where the one who asks the parts is frozen, nobody knows more."""
SHOWN_ELSEWHERE = {"server"}
"""Red while the API stops. One that is frozen says nothing: see test_frozen.py."""
GROUPS = 4


@task(registry=REGISTRY)
async def noop() -> None:
    pass


@task(registry=REGISTRY)
async def talk(ctx: Context) -> None:
    """Says something from time to time, until its worker stops."""
    while True:
        await ctx.info("on")
        await asyncio.sleep(1.0)


class System:
    """API, services and a worker on one Redis and one database, in this process. Its tasks are owned by its name."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self.services = Services(client.store, client.broker, client.settings)
        self.worker = Engine(client.broker, REGISTRY, client.settings)
        self._lookout = lookout(client, Streams())
        self._accepting: asyncio.Task[Any] | None = None
        self._subscriptions: list[object] = []
        self._job = make_spec()

    @classmethod
    async def start(cls, name: str, **settings: Any) -> System:
        with Freezer.owned(name):
            system = cls(name, await Client.open(make_settings(**SETTINGS | settings)))
            system.services.start()
            await system.worker.start()
            await system.client.feed.hub.reached()
        return system

    async def stop(self) -> None:
        await end(self._accepting)
        await self._lookout.close()
        await self.worker.stop()
        await self.services.stop()
        await self.client.close()

    def subscribe(self) -> None:
        """Let everything that is read for subscribers have one. They are held, and never read."""
        feed, name = self.client.feed, self._job.queue
        with Freezer.owned(self.name):
            self._subscriptions = [
                feed.job(VIEWER, self._job.id), feed.jobs(VIEWER, JobWhere(), 10), feed.job_log(VIEWER, self._job.id),
                feed.queue(VIEWER, name), feed.workers(VIEWER, 10), feed.health(VIEWER), feed.snapshots(VIEWER),
            ]  # fmt: skip

    def use(self) -> None:
        """Let there be jobs to accept, to push and to hear of, somebody who wants to, and a slow statement."""
        with Freezer.owned(self.name):
            self._accepting = asyncio.create_task(self._accept())
        self.client.feed.hub.wake()
        self.client.pusher.add([Push(spec=self._job), Push(spec=make_spec("talk"))])
        self.client.store.slow.notice("SELECT 1", 5_000.0)

    async def _accept(self) -> None:
        with suppress(StoreUnavailable):
            await self.client.store.accept.accept(make_spec())

    async def red(self) -> Red:
        with Freezer.owned(self.name):
            _, services = await asyncio.gather(self._lookout.look(), self.services.health())
        return Red(_red(self._lookout.parts()), _red(services), _red(self.worker.health()))

    async def until(self, red: Red, within_s: float) -> None:
        """Wait until this has been red, and then until it is, and nothing else."""
        began, ever, seen = time.monotonic(), Red(), list[str]()
        while (found := await self.red()) != red:
            after_s, ever = time.monotonic() - began, _together([ever, found])
            lacking, beyond = _without(red, found), _without(found, red)
            seen.append(f"{self.name} after {after_s:.1f} s: not red are {lacking}, and red should not be {beyond}")
            assert after_s < within_s or (after_s < within_s + SETTLE_S and not any(_without(red, ever))), "\n".join(
                seen
            )
            await asyncio.sleep(LOOK_S)

    async def names(self, component: str, words: Sequence[str]) -> bool:
        """Tell whether the sentence about a component has all these words."""
        await self.red()
        (said,) = (part.detail for part in self._lookout.parts() if part.component == component)
        return all(word in said for word in words)

    def components(self) -> set[str]:
        return {part.component for part in self._lookout.parts()}


def _red(parts: Iterable[Health]) -> frozenset[str]:
    return frozenset(part.component for part in parts if not part.ok)


def _without(one: Red, other: Red) -> Red:
    return Red(*(names - others for names, others in zip(one, other, strict=True)))


def _together(reds: Sequence[Red]) -> Red:
    return Red(*(frozenset().union(*sets) for sets in zip(*reds, strict=True)))


class Case(NamedTuple):
    """A system, and what is red in it while a part of it is frozen."""

    system: System
    red: Red
    freeze: Callable[[], object]


async def test_every_part_that_is_frozen_is_red_within_15_seconds(
    tmp_path: Path, sqlite_template: Path, redis_url: str, postgres_server: PostgresServer, postgres_template: str
) -> None:
    systems: list[System] = []

    async def start(name: str, **settings: Any) -> System:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(sqlite_template, folder / "queueql.db")
        here = {"redis_url": f"{redis_url}?db={len(systems)}", "database_url": f"sqlite://{folder}/queueql.db"}
        systems.append(await System.start(name, **here | {"backup_dir": folder} | settings))
        return systems[-1]

    with ExitStack() as stack:
        freezer = stack.enter_context(Freezer())
        database, archived = (stack.enter_context(new_postgres(postgres_server, postgres_template)) for _ in range(2))
        programs: list[psutil.Process] = []
        away = [stack.enter_context(TcpProxy(url)) for url in (f"{redis_url}?db=15", database)]

        turn = await start("turn")
        file = tmp_path / "turn" / "queueql.db"
        writer = stack.enter_context(closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)))

        def freeze(owner: str, names: Sequence[str]) -> None:
            for name in names:
                freezer.freeze(owner, name)

        def thaw() -> None:
            freezer.thaw()
            writer.rollback()
            for proxy in away:
                proxy.release()
            while programs:
                programs.pop().resume()

        try:
            archiving = await start("backup", database_url=archived, backup_every_s=3.0)
            cases = [
                # One backup after the other, until a program that makes one is caught.
                Case(archiving, HUNG, lambda: programs.append(catch("pg_dump", urlsplit(archived).path))),
                Case(await start("redis", redis_url=away[0].url), WITHOUT_REDIS, away[0].hold),
                Case(await start("database", database_url=away[1].url), WITHOUT_DATABASE, away[1].hold),
                Case(turn, WITHOUT_TURN, partial(writer.execute, "BEGIN IMMEDIATE")),
                Case(await start("onlooker"), ONLOOKER, partial(freeze, "onlooker", ["lookout"])),
            ]
            readers = await start("readers")
            duties = [duty.name for duty in readers.client.feed.duties]
            cases.append(Case(readers, READERS, partial(freeze, "readers", [f"feed {name}" for name in duties])))
            loops = [loop.name for loop in turn.services.loops]
            assert set(loops) == NEEDS_REDIS | NEEDS_DATABASE, "say above what the new loop needs"
            frozen = {name: Red(frozenset({"services"}), frozenset({name})) for name in loops} | OTHERS
            for number in range(GROUPS):
                names = sorted(frozen)[number::GROUPS]
                group = await start(f"group {number}")
                cases.append(
                    Case(group, _together([frozen[name] for name in names]), partial(freeze, group.name, names))
                )
            await asyncio.gather(*(case.system.until(Red(), GREEN_S) for case in cases))
            assert turn.components() == _together([case.red for case in cases]).api | SHOWN_ELSEWHERE
            for case in cases:
                await asyncio.to_thread(case.freeze)
                case.system.use()
            readers.subscribe()
            await asyncio.gather(*(case.system.until(case.red, RED_S) for case in cases))
            await eventually(partial(readers.names, "subscriptions", duties))
            thaw()
            await asyncio.gather(*(case.system.until(Red(), GREEN_S) for case in cases))
        finally:
            thaw()
            await asyncio.gather(*(system.stop() for system in systems))
