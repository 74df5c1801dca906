"""`queueql backup` while the product runs, `queueql restore`, and what became of the jobs since."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.system.product import ROOT, Api, Product

ENQUEUE = """
mutation ($name: String!, $delay: Duration) {
  jobEnqueue(input: {task: "note", args: {name: $name}, delay: $delay}) { job { id } userErrors { message } }
}
"""
STATE = "query ($id: ID!) { job(id: $id) { state } }"
HOUR, SOON = "PT1H", "PT4S"


class Place:
    """A data folder, a database, and a ledger of what ran."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self._environ = {"LEDGER": str(self.ledger)} | ({"QUEUEQL_DATABASE_URL": database_url} if database_url else {})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Api]:
        (self._folder / "queueql.log").unlink(missing_ok=True)  # it would name the address of the last start
        with Product(self._folder, tasks="tests.system.backup_tasks", environ=self._environ) as product:
            async with aiohttp.ClientSession() as session:
                yield Api(session, product.url)

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a command; return its exit code and all that it said."""
        arguments = [sys.executable, "-m", "queueql", *words, "--data", str(self._folder / "data")]
        done = await asyncio.to_thread(
            subprocess.run, arguments, cwd=ROOT, env={**os.environ, **self._environ}, capture_output=True, text=True,
            check=False, timeout=90,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def runs(self) -> Counter[str]:
        return Counter(self.ledger.read_text().split())


@pytest.fixture
def place(folder: Path, dialect: str, request: pytest.FixtureRequest) -> Place:
    return Place(folder, request.getfixturevalue("empty_url") if dialect == "postgres" else "")


async def enqueue(api: Api, name: str, delay: str | None = None) -> str:
    payload = (await api.execute(ENQUEUE, {"name": name, "delay": delay}))["jobEnqueue"]
    assert payload["userErrors"] == []
    job_id: str = payload["job"]["id"]
    return job_id


async def until_state(api: Api, state: str, ids: list[str]) -> None:
    async with asyncio.timeout(40):
        for job_id in ids:
            while (await api.execute(STATE, {"id": job_id}))["job"] != {"state": state}:
                await asyncio.sleep(0.1)


async def test_a_backup_of_the_running_product_brings_every_job_back(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "kept.backup"
    async with place.running() as api:
        before = [await enqueue(api, f"before-{n}") for n in range(20)]
        await until_state(api, "COMPLETED", before)
        soon = [await enqueue(api, f"soon-{n}", SOON) for n in range(5)]
        far = [await enqueue(api, f"far-{n}", HOUR) for n in range(5)]
        backing_up = asyncio.create_task(place.command("backup", str(file)))
        while not backing_up.done():
            await enqueue(api, "meanwhile")
        code, said = await backing_up
        assert code == 0, said
        code, said = await place.command("restore", str(file))
        assert (code, "Another QueueQL is running" in said) == (4, True), said
        await until_state(api, "COMPLETED", soon)
        gone = [await enqueue(api, f"gone-{n}") for n in range(5)]
        later = [await enqueue(api, f"later-{n}", HOUR) for n in range(5)]
        await until_state(api, "COMPLETED", gone)
        listed = await api.execute("{backups {path fault} slowQueries {sql}}")
        assert listed["backups"] == [{"path": str(file), "fault": None}]
    code, said = await place.command("backup", "verify", str(file))
    assert code == 0, said
    assert "can be restored" in said
    code, said = await place.command("restore", str(file))
    assert code == 0, said
    assert "may run again" in said
    async with place.running() as api:
        await until_state(api, "COMPLETED", [*before, *soon])
        await until_state(api, "SCHEDULED", [*far, *later])
        for job_id in gone:  # Redis may have had them still
            assert (await api.execute(STATE, {"id": job_id}))["job"] in (None, {"state": "COMPLETED"})
        async with asyncio.timeout(40):  # what was accepted while the backup was made has run, or runs now
            after = await enqueue(api, "after")
        await until_state(api, "COMPLETED", [after])
    runs = place.runs()
    # The stream knew that they had ended since.
    assert {name: runs[name] for name in runs if name.startswith(("before", "soon", "gone"))} == {
        f"{kind}-{n}": 1 for kind, count in (("before", 20), ("soon", 5), ("gone", 5)) for n in range(count)
    }


async def test_a_backup_of_nothing_says_so(place: Place, tmp_path: Path) -> None:
    code, said = await place.command("backup", str(tmp_path / "a.backup"))
    assert (code, said.count("\n")) == (22, 1), said
    assert said.startswith(("queueql: There is no database at", "queueql: The database has none of QueueQL's tables"))
    assert not (tmp_path / "a.backup").exists()


async def test_what_is_no_backup_is_not_restored(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.backup").write_text("no backup")
    for words in (("restore",), ("backup", "verify")):
        code, said = await place.command(*words, str(tmp_path / "a.backup"))
        assert (code, said.count("\n")) == (18, 1), said
        assert "is no backup of QueueQL" in said
    code, said = await place.command("backup", "one", "two")
    assert code == 2
    assert "Give nothing, the path of a new file or folder" in " ".join(said.split())
