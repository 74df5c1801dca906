"""The user sync on the real product, against a directory that is killed and comes back, and with a worker that is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.user_sync.stand_in.directory import Directory
from examples.user_sync.table import Table
from tests.system.product import Api, Process, Product, until_published
from tests.wait import eventually

USERS = 3_000
FAILING_EVERY = 97
FAULTY = USERS // FAILING_EVERY

ENQUEUE = """
mutation ($input: SyncUsersEnqueueInput) {
  syncUsersEnqueue(input: $input) { job { id state } isDuplicate userErrors { code message field } }
}
"""
WATCH = """
subscription ($id: ID!) {
  job(id: $id) {
    state attemptCount result reason
    progress { percentage done total failed }
    error { type message }
  }
}
"""
HISTORY = """
query ($id: ID!) {
  job(id: $id) {
    state attemptCount maxAttempts result
    attempts(first: 10) { nodes { number state startedAt finishedAt error { type message } } }
    logs(first: 100, levelMin: WARNING) { nodes { level message context } }
  }
}
"""


class Desk:
    """The stand-in as a process that can be killed, and the table that the sync fills."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.database = folder / "users.sqlite3"
        self.port = 0
        self._start()

    def _start(self) -> None:
        self.server = Process(
            "stand_in",
            [
                "examples.user_sync.stand_in", "--port", str(self.port), "--users", str(USERS), "--token", "secret",
                "--failing-every", str(FAILING_EVERY), "--fault-every", "11", "--slow", "0.5", "--rate", "20",
            ],
            self._folder,
        )  # fmt: skip
        self.server.start()
        self.port = int(self.server.find(r"http://127\.0\.0\.1:(\d+)/graphql"))

    def kill(self) -> None:
        self.server.kill()
        self.server.log.unlink()

    def come_back(self) -> None:
        self._start()

    @property
    def environ(self) -> dict[str, str]:
        return {
            "USER_SYNC_URL": f"http://127.0.0.1:{self.port}/graphql",
            "USER_SYNC_TOKEN": "secret",
            "USER_SYNC_DATABASE": str(self.database),
        }

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute(sql).fetchall()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.server.stop()


async def test_a_sync_survives_the_death_of_the_directory(desk: Desk, tmp_path: Path) -> None:
    with Product(tmp_path, tasks="examples.user_sync.tasks", environ=desk.environ) as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            await until_published(api, "syncUsersEnqueue")
            options = {"backoff": {"kind": "FIXED", "base": "PT1S", "jitter": 0}}
            given = {"args": {"mode": "FULL"}, "options": options}
            payload = (await api.execute(ENQUEUE, {"input": given}))["syncUsersEnqueue"]
            assert payload["userErrors"] == []
            job_id = payload["job"]["id"]

            seen = await watch_and_kill(api, job_id, desk)
            history = await read_history(api, job_id)

            second = (await api.execute(ENQUEUE))["syncUsersEnqueue"]["job"]["id"]
            *_, last = [item["job"] async for item in api.subscribe(WATCH, {"id": second})]

    check_what_was_seen(seen)
    check_history(history)
    check_table(desk)
    assert last["state"] == "COMPLETED"
    assert last["result"]["failed"] == FAULTY
    assert (last["attemptCount"], last["result"]["synced"], last["result"]["batches"]) == (1, 0, 2)


async def test_a_sync_goes_on_behind_its_last_batch_when_the_worker_is_killed(desk: Desk, tmp_path: Path) -> None:
    count_writes(desk)
    with Product(tmp_path, tasks="examples.user_sync.tasks", environ=desk.environ) as product:
        async with aiohttp.ClientSession() as session:
            api = Api(session, product.url)
            await until_published(api, "syncUsersEnqueue")
            job_id = (await api.execute(ENQUEUE, {"input": {"args": {"mode": "FULL"}}}))["syncUsersEnqueue"]["job"][
                "id"
            ]
            seen: list[dict[str, Any]] = []
            killed = False
            async with asyncio.timeout(90):
                async for item in api.subscribe(WATCH, {"id": job_id}):
                    seen.append(item["job"])
                    if not killed and (seen[-1]["progress"] or {}).get("percentage", 0) > 33:
                        product.find("queueql worker").kill()
                        killed = True
            job = await read_history(api, job_id)

    check_what_was_seen(seen)
    assert {item["attemptCount"] for item in seen} >= {1, 2}
    assert [attempt["state"] for attempt in job["attempts"]["nodes"]] == ["LOST", "COMPLETED"]
    result = job["result"]
    assert (result["synced"], result["failed"], result["batches"]) == (USERS - FAULTY, FAULTY, USERS // 100)
    check_table(desk)
    assert desk.rows("SELECT user_id FROM written GROUP BY user_id HAVING count(*) > 1") == []


async def read_history(api: Api, job_id: str) -> dict[str, Any]:
    """Read a job that has ended, once history has its end too: that is a moment behind."""

    async def recorded() -> dict[str, Any] | None:
        job: dict[str, Any] = (await api.execute(HISTORY, {"id": job_id}))["job"]
        states = [attempt["state"] for attempt in job["attempts"]["nodes"]]
        return job if len(states) == job["attemptCount"] and "ACTIVE" not in states else None

    return await eventually(recorded)


def count_writes(desk: Desk) -> None:
    """Let the database itself note which users were written, as far as that was committed."""
    Table(desk.database)
    with closing(sqlite3.connect(desk.database)) as db, db:
        db.execute("CREATE TABLE written (user_id TEXT)")
        db.executescript("""
            CREATE TRIGGER note_user AFTER INSERT ON user BEGIN INSERT INTO written VALUES (new.id); END;
            CREATE TRIGGER note_error AFTER INSERT ON user_error BEGIN INSERT INTO written VALUES (new.user_id); END;
        """)


async def watch_and_kill(api: Api, job_id: str, desk: Desk) -> list[dict[str, Any]]:
    """Watch to the end; kill the directory at a third of the way, bring it back when an attempt has failed."""
    seen: list[dict[str, Any]] = []
    down = False
    async with asyncio.timeout(90):
        async for item in api.subscribe(WATCH, {"id": job_id}):
            job = item["job"]
            seen.append(job)
            percentage = (job["progress"] or {}).get("percentage", 0)
            if not down and percentage > 33:
                desk.kill()
                down = True
            elif down and job["state"] == "RETRYING":
                await asyncio.to_thread(desk.come_back)
    assert down
    return seen


def check_what_was_seen(seen: list[dict[str, Any]]) -> None:
    assert seen[-1]["state"] == "COMPLETED"
    percentages = [job["progress"]["percentage"] for job in seen if job["progress"]]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
    assert seen[-1]["progress"]["failed"] == FAULTY


def check_history(job: dict[str, Any]) -> None:
    assert (job["state"], job["maxAttempts"]) == ("COMPLETED", 4)
    attempts = job["attempts"]["nodes"]
    assert len(attempts) == job["attemptCount"] >= 2
    assert [attempt["state"] for attempt in attempts] == ["FAILED"] * (len(attempts) - 1) + ["COMPLETED"]
    assert attempts[0]["error"]["type"] == "Unavailable"
    result = job["result"]
    assert (result["synced"], result["failed"], result["batches"]) == (USERS - FAULTY, FAULTY, USERS // 100)
    failed = {line["context"]["item"] for line in job["logs"]["nodes"] if line["level"] == "ERROR"}
    assert len(failed) == FAULTY


def check_table(desk: Desk) -> None:
    users = Directory(USERS, FAILING_EVERY).users.values()
    assert desk.rows("SELECT id, name, email, department, active, updated_at FROM user ORDER BY id") == [
        (user.id, user.name, user.email, user.department, user.active, user.updated_at)
        for user in users
        if not user.unreadable
    ]
    assert desk.rows("SELECT user_id FROM user_error ORDER BY user_id") == [
        (user.id,) for user in users if user.unreadable
    ]
