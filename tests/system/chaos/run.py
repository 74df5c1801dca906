"""One chaos run, from the start of the product to the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.system.chaos import ledger
from tests.system.chaos.check import FINAL_EVENTS, PROBE, check
from tests.system.chaos.client import Answers, Caller, Client
from tests.system.chaos.deployment import Deployment
from tests.system.chaos.embedded import Embedded
from tests.system.chaos.evidence import Evidence, read_counts, read_history, read_keys
from tests.system.chaos.fault import Saboteur
from tests.system.chaos.figures import figures
from tests.system.chaos.plan import Break, Plan
from tests.system.chaos.plan import Deployment as Where
from tests.system.chaos.replicated import Replicated
from tests.system.chaos.subscriber import Subscriber
from tests.system.chaos.task import QUEUE
from tests.system.product import Api, until_published

DRAIN_S = 90.0
"""How long after the last fault everything may take to end."""
UNSEEN_S = 5.0
"""How long after that the subscribers may take to see it."""
FIRST_LINE_S = 2.0
"""So long after its start a task may write its first line, as where its arguments have to be fetched."""

_UNFINISHED = """
query { jobs(where: {states: [BLOCKED, SCHEDULED, QUEUED, ACTIVE, RETRYING]}) { totalCount { value } } }
"""
_PROBE = 'mutation { jobEnqueue(input: {task: "probe"}) { job { id } } }'


@dataclass(frozen=True)
class Verdict:
    plan: Plan
    contradictions: list[str]
    figures: dict[str, Any]

    def __str__(self) -> str:
        told = "\n".join(f"- {text}" for text in self.contradictions[:40])
        more = f"\n({len(self.contradictions)} in all)" if len(self.contradictions) > 40 else ""
        again = f"python -m tests.system.chaos --seed {self.plan.seed} --deployment {self.plan.deployment}"
        return f"{self.plan}\n{told}{more}\nAgain: {again}"


class Phases:
    """How long the parts of a run take, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._began, 1)
        self._began = now


async def run(plan: Plan, folder: Path) -> Verdict:
    """Run the product through a plan in a folder, and judge it."""
    phases = Phases()
    deployment: Deployment = Embedded(folder) if plan.deployment is Where.EMBEDDED else Replicated(folder)
    answers = Answers()
    saboteur = Saboteur(deployment, plan.faults)
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        try:
            await deployment.start()
            for url in deployment.urls:
                await Api(session, url).until_ready()
                await until_published(Api(session, url), "probeEnqueue")
            caller = Caller(session, deployment.urls, answers, plan.seed)
            phases.end("start")
            subscribers = [
                Subscriber(session, deployment.urls),
                Subscriber(session, deployment.urls[::-1], {"queues": [QUEUE]}),
            ]
            evidence = await _live_through(plan, caller, saboteur, subscribers, phases)
            evidence.counts = await read_counts(caller)
            evidence.keys = await read_keys(deployment.redis_url)
            phases.end("look")
        finally:
            await deployment.stop()
            phases.end("stop")
    evidence.ledger = await asyncio.to_thread(ledger.read, deployment.ledger)
    evidence.product_faults += deployment.faults
    copies = [done for done in saboteur.inflicted if done.fault.what is Break.OLDER_COPY]
    evidence.forgotten = [(done.began_s, done.ended_s + FIRST_LINE_S) for done in copies]
    for number, record in enumerate(evidence.subscribers, 1):
        lines = [f"{seen.kind} {seen.job} {seen.run} {seen.version}\n" for seen in record]
        await asyncio.to_thread((folder / f"seen-{number}").write_text, "".join(lines))
    summed = figures(plan, evidence, saboteur.inflicted, deployment.deaths) | {"seconds": phases.seconds}
    return Verdict(plan, check(evidence), summed)


async def _live_through(
    plan: Plan, caller: Caller, saboteur: Saboteur, subscribers: Sequence[Subscriber], phases: Phases
) -> Evidence:
    """Let clients, subscribers and the saboteur do their work; return what there is to see when all has ended."""
    following = [asyncio.create_task(subscriber.follow()) for subscriber in subscribers]
    try:
        while not all(subscriber.began.is_set() for subscriber in subscribers):
            await caller.ask(_PROBE, {})
            await asyncio.sleep(0.2)
        phases.end("subscribe")
        answers = caller.answers
        client = Client(caller, plan.jobs, answers)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.run())
            group.create_task(saboteur.run())
        phases.end("faults")
        faults = await _drain(caller)
        phases.end("drain")
        history = await read_history(caller)
        await _catch_up(subscribers, history)
    finally:
        for task in following:
            task.cancel()
        ended = await asyncio.gather(*following, return_exceptions=True)
    faults += [f"A subscriber failed: {error!r}" for error in ended if isinstance(error, Exception)]
    records = [subscriber.record for subscriber in subscribers]
    return Evidence(plan.jobs, answers, history, [], records, product_faults=faults)


async def _drain(caller: Caller) -> list[str]:
    """Wait until no job is unfinished."""
    deadline = time.monotonic() + DRAIN_S
    while left := (await caller.ask(_UNFINISHED, {}))["jobs"]["totalCount"]["value"]:
        if time.monotonic() > deadline:
            return [f"{left} jobs have not ended {DRAIN_S:.0f} s after the last fault."]
        await asyncio.sleep(0.2)
    return []


async def _catch_up(subscribers: Sequence[Subscriber], history: dict[str, Any]) -> None:
    """Give subscribers a moment for the last events."""
    deadline = time.monotonic() + UNSEEN_S
    ended = {job["id"] for job in history.values() if job["task"] != PROBE}
    while time.monotonic() < deadline:
        seen = [{item.job for item in subscriber.record if item.kind in FINAL_EVENTS} for subscriber in subscribers]
        if all(ended <= jobs for jobs in seen):
            return
        await asyncio.sleep(0.1)
