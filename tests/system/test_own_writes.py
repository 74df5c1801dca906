"""docs/own-writes.md as it is written, with a worker that is killed before and after commits: effects count once."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.databases import new_postgres, run_sql
from tests.postgres_server import PostgresServer
from tests.system.product import ROOT, Api, Product, until_published
from tests.wait import eventually

NAMES = [f"n{number:03}" for number in range(250)]
SHOP = [
    "CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents BETWEEN 0 AND 9000))",
    "CREATE TABLE invoice (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL)",
    "INSERT INTO account VALUES ('a', 1000), ('b', 0), ('full', 9000)",
    f"INSERT INTO account VALUES {', '.join(f'({name!r}, 0)' for name in NAMES)}",  # noqa: S608  # our own names
    f"INSERT INTO invoice VALUES {', '.join(f'({i}, {n!r}, {i})' for i, n in enumerate(NAMES, 1))}",  # noqa: S608  # as above
    "INSERT INTO invoice VALUES (1000, 'full', 1)",
]
ENQUEUE = "mutation ($input: JobEnqueueInput!) { jobEnqueue(input: $input) { job { id } userErrors { message } } }"
WATCH = "subscription ($id: ID!) { job(id: $id) { state } }"
JOB = "query ($id: ID!) { job(id: $id) { state result attempts(first: 10) { nodes { state } } } }"


def blocks(language: str) -> dict[str, str]:
    """The doc's blocks of code by the word behind their language."""
    text = (ROOT / "docs" / "own-writes.md").read_text(encoding="utf-8")
    return dict(re.findall(rf"```{language} (\S+)\n(.*?)```", text, re.DOTALL))


class Shop:
    def __init__(self, api: Api, folder: Path, dialect: str, url: str) -> None:
        self._api = api
        self._deaths = folder / "deaths"
        self._dialect = dialect
        self._url = url

    async def run(self, task: str, deaths: str, **args: Any) -> dict[str, Any]:
        """Run a job to its end, with a worker that dies at its commits as this says."""
        self._deaths.write_text(deaths.replace(" ", "\n"), encoding="utf-8")
        given = {"task": f"{self._dialect}_{task}", "args": args, "maxAttempts": 1}
        payload = (await self._api.execute(ENQUEUE, {"input": given}))["jobEnqueue"]
        assert payload["userErrors"] == []
        async with asyncio.timeout(60):
            async for _ in self._api.subscribe(WATCH, {"id": payload["job"]["id"]}):
                pass

        async def recorded() -> dict[str, Any] | None:
            """Attempts come from history, which is a moment behind."""
            job: dict[str, Any] = (await self._api.execute(JOB, {"id": payload["job"]["id"]}))["job"]
            job["attempts"] = [attempt["state"] for attempt in job["attempts"]["nodes"]]
            return job if "ACTIVE" not in job["attempts"] else None

        return await eventually(recorded)

    async def accounts(self) -> dict[str, int]:
        sql = "SELECT name, cents FROM account"
        if self._dialect == "postgres":
            return {row["name"]: row["cents"] for row in await run_sql(self._url, sql)}
        with closing(sqlite3.connect(self._url)) as db:
            return dict(db.execute(sql).fetchall())


@asynccontextmanager
async def opened(dialect: str, folder: Path, url: str) -> AsyncIterator[Shop]:
    for name, code in blocks("python").items():
        (folder / name).write_text(code, encoding="utf-8")
    for sql in [*SHOP, *blocks("sql")[dialect].strip().split(";\n")]:
        if dialect == "postgres":
            await run_sql(url, sql)
        else:
            with closing(sqlite3.connect(url)) as db, db:
                db.execute(sql)
    environ = {
        "PYTHONPATH": str(folder), f"SHOP_{dialect.upper()}": url, "OWN_WRITES_DEATHS": str(folder / "deaths"),
        "QUEUEQL_LEASE_S": "2", "QUEUEQL_RENEW_S": "0.4",
    }  # fmt: skip
    with Product(folder, tasks="tests.system.own_writes_tasks", environ=environ) as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            await until_published(api, f"{dialect}TransferEnqueue")
            yield Shop(api, folder, dialect, url)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
async def test_what_a_killed_worker_had_committed_is_there_once(
    dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if dialect == "sqlite":
        async with opened(dialect, tmp_path, str(tmp_path / "shop.sqlite3")) as shop:
            await check(shop)
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with new_postgres(server) as url:
            async with opened(dialect, tmp_path, url) as shop:
                await check(shop)
                await check_place(shop)


async def check(shop: Shop) -> None:
    # the first attempt dies behind its commit, the second sees that all is done
    job = await shop.run("transfer", "after live", source="a", target="b", cents=300)
    assert (job["state"], job["attempts"]) == ("COMPLETED", ["LOST", "COMPLETED"])
    accounts = await shop.accounts()
    assert (accounts["a"], accounts["b"]) == (700, 300)

    # an attempt that fails leaves nothing: the second account has not so much
    job = await shop.run("transfer", "live", source="b", target="a", cents=301)
    assert (job["state"], job["attempts"]) == ("DEAD", ["FAILED"])
    assert await shop.accounts() == accounts

    # chunks of 100: it dies before the commit of the second, then behind it
    job = await shop.run("pay", "live before after live live", names=[*NAMES, "full"], cents=7)
    assert (job["state"], job["attempts"]) == ("COMPLETED", ["LOST", "LOST", "COMPLETED"])
    assert job["result"] == {"done": 251, "failed": 1}
    assert await shop.accounts() == accounts | dict.fromkeys(NAMES, 7)


async def check_place(shop: Shop) -> None:
    accounts = await shop.accounts()
    job = await shop.run("collect", "live after live live")
    assert (job["state"], job["attempts"]) == ("COMPLETED", ["LOST", "COMPLETED"])
    # an invoice that cannot be added counts as failed, and the figures are those of what was committed
    assert job["result"] == {"done": 251, "failed": 1, "cents": sum(range(1, 251))}
    paid = {name: accounts[name] + number for number, name in enumerate(NAMES, 1)}
    assert await shop.accounts() == accounts | paid
