"""How long the store takes for every list, filter, count and look-up, over as many jobs as are asked for.

Each query is one call of a method of the store, with other values each time, after calls that do not count.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from jobs.garbage import collect_rarely
from jobs.job import Job, LogLevel, State
from jobs.page import Counted, Direction, Page, PageRequest
from jobs.queries.job import COUNT_MAX
from jobs.store import Store
from jobs.where import JobWhere, TimeRange
from tests.bench import fill, windows
from tests.bench.database import at
from tests.bench.filters import times, values
from tests.bench.rollups import fill_rollups

RUNS = 20
WARM = 6
"""Calls that do not count: PostgreSQL plans a statement anew for the first five."""
TARGET_MS = 20.0
ROWS = 1_000_000
SERVICES = "services: "

Ask = Callable[[random.Random], Awaitable[Any]]


class Timed(msgspec.Struct, kw_only=True):
    """One query, asked with other values each time, and then with the same values once more."""

    first_ms: float
    """Median of the first time: what is asked for may have to come from the disk."""
    first_p95_ms: float
    median_ms: float
    """Median of the second time."""
    p95_ms: float
    cut_short: int
    """Percent of the answers that were bounded and said so."""
    found: float
    """Items of an answer, on average."""
    held: bool
    """Whether 95 % of the second answers came in time."""


class Bench:
    """The queries over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: list[Job] = []
        self.asks: dict[str, Ask] = {}

    async def prepare(self) -> None:
        """Gather jobs of all times to ask for."""
        search = self._store.search
        newest = (await search.jobs(JobWhere(), PageRequest(limit=1))).items[0]
        oldest = (await search.jobs(JobWhere(), PageRequest(limit=1), Direction.ASC)).items[0]
        self._first_ms, self._last_ms = oldest.created_ms, newest.created_ms
        chance = random.Random(5)  # noqa: S311  # data for a bench
        for _ in range(200):
            at_ms = chance.randrange(self._first_ms, self._last_ms)
            where = JobWhere(created=TimeRange(from_ms=at_ms))
            self._jobs += (await search.jobs(where, PageRequest(limit=1), Direction.ASC)).items
        self._lists()
        self._singles()
        self._services()
        self.asks |= windows.statistics(self._store)

    def _wheres(self, chance: random.Random) -> dict[str, JobWhere]:
        return values(chance) | times(chance, self._first_ms, self._last_ms)

    def _lists(self) -> None:
        search = self._store.search
        for name in self._wheres(random.Random(0)):  # noqa: S311  # as above
            for direction in Direction:

                async def page(chance: random.Random, name: str = name, direction: Direction = direction) -> Page[Job]:
                    return await search.jobs(self._wheres(chance)[name], PageRequest(limit=100), direction)

                self.asks[f"jobs {name} {direction}"] = page

            async def count(chance: random.Random, name: str = name) -> Counted:
                return await search.count(self._wheres(chance)[name], COUNT_MAX)

            self.asks[f"count {name}"] = count
        for name in ("all", "queue", "tag: common", "state: dead", "owner: large", "state: completed", "args: common"):
            self._deep(name)

    def _deep(self, name: str) -> None:
        search = self._store.search
        cursors: list[str] = []

        async def learn(chance: random.Random) -> None:
            """Cursors of this list, at any depth."""
            for job in chance.sample(self._jobs, 20):
                where = JobWhere(created=TimeRange(until_ms=job.created_ms))
                cursors.extend((await search.jobs(where, PageRequest(limit=1))).cursors)

        async def after(chance: random.Random) -> Page[Job]:
            if not cursors:
                await learn(chance)
            asked = PageRequest(limit=100, after=chance.choice(cursors))
            return await search.jobs(self._wheres(chance)[name], asked)

        async def before(chance: random.Random) -> Page[Job]:
            asked = PageRequest(limit=100, before=chance.choice(cursors), backward=True)
            return await search.jobs(self._wheres(chance)[name], asked)

        async def last(chance: random.Random) -> Page[Job]:
            return await search.jobs(self._wheres(chance)[name], PageRequest(limit=100, backward=True))

        self.asks |= {f"jobs {name}, deep": after, f"jobs {name}, backwards": before, f"jobs {name}, last": last}

    def _singles(self) -> None:
        search, quarantine = self._store.search, self._store.quarantine

        def ids(chance: random.Random, number: int) -> list[str]:
            return [job.id for job in chance.sample(self._jobs, number)]

        async def talker() -> str:
            return (await search.jobs(JobWhere(states=(State.DEAD,)), PageRequest(limit=1))).items[0].id

        async def logs(chance: random.Random) -> Any:
            return await search.logs(ids(chance, 1)[0], PageRequest(limit=100))

        async def many_logs(_: random.Random) -> Any:
            return await search.logs(await talker(), PageRequest(limit=100))

        async def errors_in_many_logs(_: random.Random) -> Any:
            return await search.logs(await talker(), PageRequest(limit=100), level_min=LogLevel.ERROR)

        async def deep_quarantine(_: random.Random) -> Any:
            first = await quarantine.page(PageRequest(limit=100))
            return await quarantine.page(PageRequest(limit=100, after=first.cursors[-1]))

        self.asks |= {
            "job": lambda chance: search.job(ids(chance, 1)[0]),
            "job: unknown": lambda _: search.job("none"),
            "jobs by id: 100": lambda chance: search.jobs_by_id(ids(chance, 100)),
            "args": lambda chance: search.args(ids(chance, 1)[0]),
            "attempts: 100 jobs": lambda chance: search.attempts(ids(chance, 100)),
            "logs": logs,
            "logs: 100,000 lines": many_logs,
            "logs: errors among 100,000 lines": errors_in_many_logs,
            "queues": lambda _: search.queues(),
            "tasks": lambda _: self._store.catalogue.tasks(),
            "tasks: version": lambda _: self._store.catalogue.version(),
            "quarantine": lambda _: quarantine.page(PageRequest(limit=100)),
            "quarantine: second page": deep_quarantine,
            "quarantine: count": lambda _: quarantine.count(),
            "quarantine: one": lambda _: quarantine.find("5000"),
        }

    def _services(self) -> None:
        search = self._store.search

        def ids(chance: random.Random, number: int) -> list[str]:
            return [chance.choice(self._jobs).id for _ in range(number)]

        self.asks |= {
            f"{SERVICES}unpushed": lambda _: search.unpushed(
                created_before_ms=self._last_ms + 864_000_000, limit=1_000
            ),
            f"{SERVICES}unfinished": lambda chance: search.unfinished(after_id=ids(chance, 1)[0], limit=1_000),
            f"{SERVICES}unfinished, from the first": lambda _: search.unfinished(after_id="", limit=1_000),
            f"{SERVICES}open rows": lambda _: search.open_rows(after_id="", limit=1_000),
            f"{SERVICES}final among 1,000": lambda chance: search.final_among(ids(chance, 1_000)),
            f"{SERVICES}unfinished among 1,000": lambda chance: search.unfinished_among(ids(chance, 1_000)),
        }


async def _time(ask: Ask, name: str) -> Timed:
    for _ in range(WARM):
        await ask(random.Random(0))  # noqa: S311  # data for a bench
    times: list[list[float]] = []
    for _ in range(2):
        chance = random.Random(name)  # noqa: S311  # as above
        times.append([])
        cut, found = 0, 0
        for _ in range(RUNS):
            began = time.perf_counter()
            answer = await ask(chance)
            times[-1].append((time.perf_counter() - began) * 1000)
            cut += _is_cut_short(answer)
            found += _found(answer)
    medians = [round(statistics.median(one), 2) for one in times]
    p95s = [round(sorted(one)[int(RUNS * 0.95) - 1], 2) for one in times]
    return Timed(
        first_ms=medians[0],
        first_p95_ms=p95s[0],
        median_ms=medians[1],
        p95_ms=p95s[1],
        cut_short=100 * cut // RUNS,
        found=found / RUNS,
        held=p95s[1] <= TARGET_MS,
    )


def _is_cut_short(answer: object) -> bool:
    match answer:
        case Page():
            return answer.reached is not None
        case Counted():
            return not answer.whole
        case _:
            return False


def _found(answer: Any) -> int:
    match answer:
        case Page():
            return len(answer.items)
        case Counted():
            return answer.value
        case list() | dict():
            return len(answer)
        case _:
            return answer is not None


async def run(*, rows: int = ROWS, database: str = "", only: str = "") -> dict[str, Any]:
    """Time every query over a database with `rows` jobs: a new one of SQLite, or `database`, which is filled if empty.

    `above` names the queries of which more than 5 % took longer than 20 ms; those of the services, which read a
    thousand jobs at a time and nobody waits for, are timed but not held to that.
    """
    with at(database) as url:
        began = time.perf_counter()
        await fill.fill(url, rows)
        await fill_rollups(url, rows)
        fill_s = time.perf_counter() - began
        store = await Store.open(url)
        try:
            bench = Bench(store)
            await bench.prepare()
            gc.collect()
            gc.freeze()  # as the processes that `queueql up` forks
            collect_rarely()
            timed = {name: await _time(ask, name) for name, ask in bench.asks.items() if only in name}
            dialect = store.dialect
        finally:
            await store.close()
    return {
        "dialect": dialect,
        "rows": rows,
        "fill_s": round(fill_s, 1),
        "target_ms": TARGET_MS,
        "queries": len(timed),
        "bounded": sum(one.cut_short > 0 for one in timed.values()),
        "above": [name for name, one in timed.items() if not one.held and not name.startswith(SERVICES)],
        "timed": {name: msgspec.to_builtins(one) for name, one in timed.items()},
    }
