"""`queueql up`: what a newcomer meets, and what it does when parts of it die."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.system.product import Api, Process
from tests.wait import until

ENQUEUE = """
mutation ($task: String!, $args: JSON) {
  jobEnqueue(input: {task: $task, args: $args}) { job { id } userErrors { code message } }
}
"""
STATE = "query ($id: ID!) { job(id: $id) { state result attemptCount progress { percentage } } }"
TASKS = """
import asyncio, time
from pathlib import Path
from jobs import Context, task

@task
async def steps(ctx: Context, file: str, seconds: float) -> str:
    Path(file).touch()
    await asyncio.sleep(seconds)
    return "done"

@task
def stubborn(file: str) -> None:
    Path(file).touch()
    time.sleep(60)
"""


class Up:
    """One `queueql up` in a user's folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = ["queueql", "up", "--port", "0", *arguments]
        self.process = Process("up", command, folder, cwd=folder)
        self.folder = folder
        self.url = self.token = self.link = ""
        self.children: list[psutil.Process] = []

    def start(self) -> None:
        self.process.log.unlink(missing_ok=True)
        self.process.start()
        self.process.find(r"(Ctrl-C stops everything)")
        self.url = self.process.find(r"runs at (\S+)")
        self.token = self.process.find(r"Token +(\S+)")
        self.link = self.process.find(r"Sign in +(\S+)")
        self.children = self.tree()

    def tree(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def part(self, *words: str) -> psutil.Process | None:
        """Find the process whose command line has these words."""
        try:
            for process in self.tree():
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    return process
        except psutil.NoSuchProcess:  # one that ended meanwhile: the next look will do
            pass
        return None

    def left(self) -> list[psutil.Process]:
        """What is left of the processes that ran after the start."""
        return [child for child in self.children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


MakeUp = Callable[..., Up]


@pytest.fixture
def make_up(folder: Path) -> Iterator[MakeUp]:
    (folder / "my_tasks.py").write_text(TASKS)
    made: list[Up] = []

    def make(*arguments: str) -> Up:
        made.append(Up(folder, *arguments))
        return made[-1]

    yield make
    for up in made:
        if up.process.is_running:
            up.process.kill()


@pytest.fixture
def up(make_up: MakeUp) -> Up:
    return make_up()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    # A name for an IP address: cookies are kept, as a browser keeps them.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def enqueue(api: Api, task: str, **args: Any) -> str:
    payload = (await api.execute(ENQUEUE, {"task": task, "args": args}))["jobEnqueue"]
    assert payload["userErrors"] == []
    job_id: str = payload["job"]["id"]
    return job_id


async def final(api: Api, job_id: str, within_s: float = 30) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        while True:
            job: dict[str, Any] = (await api.execute(STATE, {"id": job_id}))["job"]
            if job["state"] in {"COMPLETED", "DEAD", "CANCELLED"}:
                return job
            await asyncio.sleep(0.05)


async def test_a_newcomers_first_minutes(up: Up, session: aiohttp.ClientSession) -> None:
    up.start()
    data = up.folder / ".queueql"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "admin-token").stat().st_mode) == 0o600
    assert "Traceback" not in up.process.output()

    async with session.post(f"{up.url}/graphql", json={"query": "{ __typename }"}) as answer:
        assert answer.status == 401
    api = Api(session, up.url, token=up.token)
    job_id = await enqueue(api, "demo_countdown", steps=3, step_s=0.01, fail_at=None)
    job = await final(api, job_id)
    assert (job["state"], job["result"], job["progress"]["percentage"]) == ("COMPLETED", "Lift-off!", 100)

    async with session.get(up.link, allow_redirects=False) as answer:
        assert answer.status == 303
        assert "HttpOnly" in answer.headers["Set-Cookie"]
    async with session.get(up.link, allow_redirects=False) as answer:
        assert answer.status == 401

    again = subprocess.run(
        [sys.executable, "-P", "-m", "queueql", "up", "--port", up.url.rpartition(":")[2]],
        cwd=up.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 4
    assert again.stderr.startswith(f"queueql: Another QueueQL is running on the data folder {data}")

    assert up.process.stop(signal.SIGINT) == 0
    assert up.left() == []
    token = up.token
    up.start()
    assert up.token == token
    job = (await Api(session, up.url, token=token).execute(STATE, {"id": job_id}))["job"]
    assert job["state"] == "COMPLETED"
    assert up.process.stop() == 0
    assert up.left() == []


async def test_whatever_is_killed_comes_back(up: Up, session: aiohttp.ClientSession) -> None:
    up.start()
    for words in (["queueql", "api"], ["queueql", "services"], ["queueql", "worker"], ["-server", "redis"]):
        before = up.part(*words)
        assert before
        before.kill()
        await until(lambda before=before, words=words: up.part(*words) not in {None, before}, within_s=20)  # type: ignore[misc]  # binds the loop's values
        await until_ready(session, up.url)
        job = await final(Api(session, up.url, token=up.token), await enqueue_again(session, up))
        assert job["state"] == "COMPLETED"
    up.children = up.tree()
    assert up.process.output().count("process.ended") == 4
    assert up.process.stop() == 0
    assert up.left() == []


async def until_ready(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def enqueue_again(session: aiohttp.ClientSession, up: Up) -> str:
    return await enqueue(Api(session, up.url, token=up.token), "demo_countdown", steps=1, step_s=0)


async def test_nothing_is_left_of_a_product_that_is_killed_and_it_starts_again(
    up: Up, session: aiohttp.ClientSession
) -> None:
    up.start()
    api = Api(session, up.url, token=up.token)
    job_id = await enqueue(api, "demo_countdown", steps=2, step_s=0.2)
    up.process.kill()
    await until(lambda: up.left() == [])
    up.start()
    job = await final(Api(session, up.url, token=up.token), job_id)
    assert job["state"] == "COMPLETED"
    assert up.process.stop() == 0


async def test_a_stop_lets_running_jobs_end(folder: Path, make_up: MakeUp, session: aiohttp.ClientSession) -> None:
    up = make_up("--tasks", "my_tasks")
    up.start()
    job_id = await enqueue(Api(session, up.url, token=up.token), "steps", file=str(folder / "began"), seconds=1)
    await until((folder / "began").exists)
    assert up.process.stop() == 0
    up.start()
    job = (await Api(session, up.url, token=up.token).execute(STATE, {"id": job_id}))["job"]
    assert (job["state"], job["attemptCount"]) == ("COMPLETED", 1)
    assert up.process.stop() == 0


async def test_a_second_ctrl_c_hurries(folder: Path, make_up: MakeUp, session: aiohttp.ClientSession) -> None:
    up = make_up("--tasks", "my_tasks")
    up.start()
    await enqueue(Api(session, up.url, token=up.token), "stubborn", file=str(folder / "began"))
    await until((folder / "began").exists)
    up.process.send(signal.SIGINT)
    up.process.find(r"(Ctrl-C again stops at once)")
    up.process.stop(signal.SIGINT, within_s=15)
    assert up.left() == []


def test_workers_and_an_address_that_others_can_reach(make_up: MakeUp) -> None:
    up = make_up("--workers", "2", "--host", "0.0.0.0")  # noqa: S104  # what is tested
    up.start()
    assert up.part("queueql worker 1")
    assert up.part("queueql worker 2")
    assert "Other machines can reach 0.0.0.0; they need a token, too." in up.process.output()
    assert up.url.startswith("http://127.0.0.1:")
    assert up.process.stop() == 0
    assert up.left() == []


def test_a_ctrl_c_during_the_start_leaves_nothing(folder: Path, up: Up) -> None:
    up.process.start()
    deadline = time.monotonic() + 20
    while not (folder / ".queueql" / "redis" / "redis.sock").exists():
        assert time.monotonic() < deadline
    children = up.tree()
    assert children
    assert up.process.stop(signal.SIGINT) == 0
    up.children = children
    assert up.left() == []
    assert "Traceback" not in up.process.output(), up.process.output()
