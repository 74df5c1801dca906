"""The clients of the chaos run: they enqueue, cancel and retry through GraphQL, and insist on an answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from tests.system.chaos.plan import PlannedJob
from tests.system.chaos.task import text_of
from tests.system.product import Api, Refused

CALL_S = 6.0
INSIST_S = 120.0
PAUSE_S = 0.2
TOGETHER_MAX = 64
AWAY = {"STORE_UNAVAILABLE", "DISK_FULL", "BROKER_UNAVAILABLE", "EPOCH_CHANGED", "UNAVAILABLE", "QUEUE_FULL"}

_ENQUEUE = """
mutation Enqueue($jobs: [JobEnqueueInput!]!) {
  jobsEnqueue(input: {jobs: $jobs}) {
    results { job { id } isDuplicate userErrors { code message } } userErrors { code message }
  }
}
"""
_CANCEL = """
mutation Cancel($id: ID!) { jobCancel(input: {id: $id}) { job { state cancelRequested } userErrors { code message } } }
"""
_RETRY = """
mutation Retry($id: ID!) { jobRetry(input: {id: $id}) { job { run } userErrors { code message } } }
"""
_LOOK = "query Look($id: ID!) { job(id: $id) { state run } }"


@dataclass(frozen=True)
class Ack:
    """An answer that promised a job."""

    job: str
    duplicate: bool
    at_s: float


@dataclass(frozen=True)
class CancelAck:
    """An answer to a cancel: the state that the job was shown in, or ENDED."""

    state: str
    at_s: float


@dataclass
class Answers:
    """What the clients were told."""

    acks: dict[int, list[Ack]] = field(default_factory=lambda: defaultdict(list))
    """By the job's number."""
    cancelled: dict[str, CancelAck] = field(default_factory=dict)
    """What a cancel was answered with."""
    retried: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers that promised nothing, by their code; UNKNOWN: no answer came."""
    given_up: list[str] = field(default_factory=list)


class Caller:
    """Calls any of the APIs; one that does not answer is followed by the next."""

    def __init__(self, session: aiohttp.ClientSession, urls: Sequence[str], answers: Answers, seed: int) -> None:
        self._apis = [Api(session, url) for url in urls]
        self.answers = answers
        self._draw = random.Random(seed)  # noqa: S311  # which of several APIs is asked
        self._turns = asyncio.Semaphore(TOGETHER_MAX)

    async def ask(self, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Call until there is an answer. Raises TimeoutError where there is none for very long."""
        deadline = time.monotonic() + INSIST_S
        while True:
            try:
                async with self._turns, asyncio.timeout(CALL_S):
                    return await self._draw.choice(self._apis).execute(document, variables)
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.answers.refused["UNKNOWN"] += 1
            except Refused as refused:
                self.answers.refused[refused.code] += 1
                if refused.code not in AWAY:
                    raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"No answer for {INSIST_S:.0f} s: {document}")
            await asyncio.sleep(PAUSE_S)


class Client:
    """Does what the plan says of its jobs, at the time that it says."""

    def __init__(self, caller: Caller, jobs: Sequence[PlannedJob], answers: Answers) -> None:
        self._caller = caller
        self._answers = answers
        self._bundles = _bundles(jobs)

    async def run(self) -> None:
        """Enqueue everything and do what is to be done with it later; return when all is answered."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for bundle in self._bundles:
                await asyncio.sleep(max(0.0, bundle[0].at_s - (time.monotonic() - began)))
                group.create_task(self._enqueue(bundle))

    async def _enqueue(self, bundle: Sequence[PlannedJob]) -> None:
        inputs = [request_of(job) for job in bundle]
        for _ in range(2 if bundle[0].again else 1):
            left = list(zip(bundle, inputs, strict=True))
            while left:
                left = await self._send(left)
        if bundle[0].act:
            await self._act(bundle[0])

    async def _send(self, pairs: list[tuple[PlannedJob, dict[str, Any]]]) -> list[tuple[PlannedJob, dict[str, Any]]]:
        """Send one request; return what it was refused for now."""
        try:
            payload = (await self._caller.ask(_ENQUEUE, {"jobs": [given for _, given in pairs]}))["jobsEnqueue"]
        except (Refused, TimeoutError) as error:
            self._answers.given_up += [
                f"Job {job.number} ({job.task}) was refused for good: {error}" for job, _ in pairs
            ]
            return []
        now_s = time.time()
        left = []
        for (job, given), result in zip(pairs, payload["results"], strict=True):
            if result["job"]:
                self._answers.acks[job.number].append(Ack(result["job"]["id"], result["isDuplicate"], now_s))
            elif result["userErrors"][0]["code"] in AWAY:
                self._answers.refused[result["userErrors"][0]["code"]] += 1
                left.append((job, given))
            else:
                self._answers.given_up.append(f"Job {job.number} ({job.task}) was refused: {result['userErrors']}")
        if left:
            await asyncio.sleep(PAUSE_S)
        return left

    async def _act(self, job: PlannedJob) -> None:
        acks = self._answers.acks[job.number]
        if not acks:
            return
        await asyncio.sleep(job.act_after_s)
        try:
            await (self._cancel if job.act == "cancel" else self._retry)(acks[0].job)
        except (Refused, TimeoutError) as error:
            self._answers.given_up.append(f"Job {job.number} ({job.task}): {job.act} was refused for good: {error}")

    async def _cancel(self, job_id: str) -> None:
        payload = (await self._caller.ask(_CANCEL, {"id": job_id}))["jobCancel"]
        now_s = time.time()
        if payload["userErrors"]:
            code = payload["userErrors"][0]["code"]
            if code != "INVALID_STATE":
                raise Refused(code, payload["userErrors"][0]["message"])
            self._answers.cancelled[job_id] = CancelAck("ENDED", now_s)
            return
        job = payload["job"]
        self._answers.cancelled[job_id] = CancelAck(job["state"], now_s)
        if job["state"] != "CANCELLED" and not job["cancelRequested"]:
            self._answers.given_up.append(f"{job_id} was to be cancelled and is shown as {job}.")

    async def _retry(self, job_id: str) -> None:
        """Wait for the end of the first run, and ask for a second one until there is one."""
        while True:
            job = (await self._caller.ask(_LOOK, {"id": job_id}))["job"]
            if job["run"] > 1:
                self._answers.retried.add(job_id)
                return
            if job["state"] == "DEAD":
                await self._caller.ask(_RETRY, {"id": job_id})
            await asyncio.sleep(PAUSE_S)


def _bundles(jobs: Sequence[PlannedJob]) -> list[list[PlannedJob]]:
    bulks = defaultdict[int, list[PlannedJob]](list)
    for job in jobs:
        bulks[-job.number if not job.bulk else job.bulk].append(job)
    return sorted(bulks.values(), key=lambda bundle: bundle[0].at_s)


def arguments(job: PlannedJob) -> dict[str, Any]:
    """The arguments that its task takes."""
    args: dict[str, Any] = {"number": job.number}
    if job.seconds:
        args["seconds"] = job.seconds
    if job.task == "fat":
        args["size"] = job.size
    elif job.size:
        args["text"] = text_of(job.number, job.size)
    return args


def request_of(job: PlannedJob) -> dict[str, Any]:
    """The job as the mutation takes it; the same each time that it is repeated."""
    request: dict[str, Any] = {"task": job.task, "args": arguments(job), "idempotencyKey": f"chaos-{job.number}"}
    if job.delay_s is not None:
        request["scheduledAt"] = (datetime.now(UTC) + timedelta(seconds=job.delay_s)).isoformat()
    if job.key:
        request["key"] = job.key
    return request
