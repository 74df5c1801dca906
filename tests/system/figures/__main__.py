"""Starts the product, keeps it busy, waits for each snapshot, and says which of its figures were true."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from jobs.metric import Metric
from tests.system.figures import outside
from tests.system.figures.check import Finding, judge, table
from tests.system.figures.deployment import BusyEmbedded, BusyReplicated, deployment
from tests.system.figures.outside import Ranges, Shown
from tests.system.figures.provocation import ENQUEUE, Provocation, Provoked
from tests.system.figures.replay import Replay
from tests.system.figures.source import Figures, Sample, Sources, hour_s
from tests.system.figures.statement_log import ServerLog, StatementLog, Trace
from tests.system.figures.vitals import Vitals
from tests.system.figures.watch import Locks, Sessions, Watch
from tests.system.product import Api, until_published

BEFORE_S, AFTER_S = 16.0, 3.0
"""So long before a snapshot the product is provoked and watched, and so long after it it is judged."""
SAMPLED_S = 0.5
"""So long before it and after it its sources are asked, again and again."""
TAKEN_S = 20.0
"""So late a snapshot may be, where the machine is busy or its leader was frozen."""
SAMPLE_S, POLL_S = 0.005, 0.25
PARKED = 12
"""Jobs of a queue that nobody serves; one more, and the first of them is cancelled."""
CANCEL = "mutation ($input: JobCancelInput!) { jobCancel(input: $input) { userErrors { message } } }"
RETRY = "mutation ($input: JobRetryInput!) { jobRetry(input: $input) { userErrors { message } } }"
NEWEST = """{ snapshots(first: 1) { nodes {
    id at took faults { collector reason } redis { isConnected version policy isAppendOnly isAppendOk }
    database { dialect } recorder { isHolding }
    processes { each { kind pid seenAt cpu memoryBytes pool { queries } } } } } }"""
FIGURES = """query ($id: ID!) {
    snapshotCompare(before: $id, after: $id) { differences { metric queue after } } }"""


class Taken:
    """A snapshot, as the API shows it."""

    def __init__(self, node: dict[str, Any]) -> None:
        self.node = node
        self.id: str = node["id"]
        self.at_s = moment_s(node["at"])
        self.took_s = float(node["took"].removeprefix("PT").removesuffix("S"))
        self.processes = [
            Shown(
                one["kind"],
                one["pid"],
                round(1000 * moment_s(one["seenAt"])),
                int(one["pool"]["queries"]) if one["pool"] else None,
            )
            for one in node["processes"]["each"]
        ]
        self.figures: Figures = {}
        """Those of each process."""
        for one in node["processes"]["each"]:
            scope = f"{one['kind']} {one['pid']}"
            self.figures["PROCESS_CPU", scope] = one["cpu"]
            self.figures["PROCESS_MEMORY_BYTES", scope] = int(one["memoryBytes"])

            if one["pool"]:
                self.figures["DATABASE_QUERIES", scope] = int(one["pool"]["queries"])

    @property
    def ended_s(self) -> float:
        return self.at_s + self.took_s

    @property
    def texts(self) -> dict[str, Any]:
        """What is no number."""
        return {**self.node["redis"], **self.node["database"], **self.node["recorder"]}


def moment_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def load(api: Api) -> None:
    """Keep all kinds of jobs coming, about forty a second."""
    parked, dead = deque[str](), deque[str]()

    async def enqueue(task: str, **more: Any) -> str:
        return str((await api.execute(ENQUEUE, {"input": {"task": task, **more}}))["jobEnqueue"]["job"]["id"])

    for turn in count(1):
        calls: list[Awaitable[Any]] = [enqueue("steady") for _ in range(3)]
        if turn % 4 == 0:
            calls.append(enqueue("long", args={"seconds": 16}))
        if turn % 10 == 0:
            calls += [enqueue("unlucky"), enqueue("steady", delay="PT15S")]
            parked.append(await enqueue("steady", queue="parked"))
        if turn % 30 == 0:
            dead.append(await enqueue("hopeless"))
        if len(parked) > PARKED:
            calls.append(api.execute(CANCEL, {"input": {"id": parked.popleft()}}))
        if len(dead) > 3:  # the first is dead by now; every other one is to die again
            dead.popleft()
            calls.append(api.execute(RETRY, {"input": {"id": dead.popleft()}}))
        await asyncio.gather(*calls)
        await asyncio.sleep(0.08)


async def sample_until(sources: Sources, taken: asyncio.Task[Taken], slot_s: float) -> list[Sample]:
    """Ask all sources side by side, from some time before the snapshot until some time after it was taken."""
    samples: list[Sample] = []

    async def repeat(ask: Callable[[], Awaitable[Figures]]) -> None:
        while not taken.done() or time.time() < taken.result().ended_s + SAMPLED_S:
            samples.append(await sources.sample(ask))
            await asyncio.sleep(SAMPLE_S)

    await asyncio.sleep(slot_s - SAMPLED_S - time.time())
    async with asyncio.TaskGroup() as asking:
        for ask in (sources.sql, sources.database, sources.redis, sources.processes):
            asking.create_task(repeat(ask))
    return samples


async def until_taken(api: Api, slot_s: float) -> Taken:
    """Wait for the snapshot of this slot."""
    await asyncio.sleep(slot_s - time.time())
    while time.time() < slot_s + TAKEN_S:
        nodes = (await api.execute(NEWEST))["snapshots"]["nodes"]
        if nodes and moment_s(nodes[0]["at"]) > slot_s - 1.0:
            return Taken(nodes[0])
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"There is no snapshot of {slot_s}, {TAKEN_S:g} s later.")


async def figures_of(api: Api, snapshot_id: str) -> Figures:
    found = (await api.execute(FIGURES, {"id": snapshot_id}))["snapshotCompare"]["differences"]
    return {(one["metric"], one["queue"] or ""): one["after"] for one in found}


@dataclass(frozen=True)
class Around:
    """Who looks at the product from outside."""

    sources: Sources
    replay: Replay
    watch: Watch
    vitals: Vitals
    log: StatementLog
    driver: StatementLog

    def ranges(self, one: Taken, done: Provoked) -> Ranges:
        """What figures can have been that no sample tells of."""
        said = outside.said_by(self.sources.reports, one.processes)
        assert len(said) == len(one.processes), f"Of {one.processes} only {said} were heard."
        self.log.read()
        self.driver.read()
        workers = {shown.pid: shown.seen_ms / 1000 for shown in one.processes if shown.kind == "WORKER"}
        first, last = self.sources.position_between(one.at_s, one.ended_s)
        ranges = outside.pools(self.watch, said, done) | outside.lateness(said, workers, done)
        ranges |= outside.statements(self.log, self.watch, said, one.processes) | outside.times(self.driver, said)
        ranges |= outside.vitals(self.vitals, one.processes, {pid: self._before_ms(one, pid) for pid in said})
        ranges |= self.replay.live(one.at_s, one.ended_s) | self.replay.died(first, last, hour_s(one.at_s))
        # Nothing outside tells when the recorder's lag was asked for: last of all, once it is known who is connected.
        ranges |= self.replay.behind(first, one.at_s, last, one.ended_s)
        return ranges | outside.active(self.watch, one.at_s, one.took_s) if isinstance(self.watch, Sessions) else ranges

    def _before_ms(self, one: Taken, pid: int) -> int:
        """Return when a process said how it is before it said what the snapshot shows."""
        (shown,) = [each for each in one.processes if each.pid == pid]
        times = self.sources.renewals[pid] if shown.kind == "WORKER" else self.sources.reports[pid]
        return max(seen_ms for seen_ms in times if seen_ms < shown.seen_ms)

    def forget(self, before_s: float) -> None:
        self.watch.forget(before_s)
        self.vitals.forget(before_s)


class Check:
    """One run of the product."""

    def __init__(self, product: BusyEmbedded | BusyReplicated, every_s: float) -> None:
        self.product = product
        self._every_s = every_s
        self.wrong = 0

    async def run(self, minutes: float) -> None:
        """Keep the product busy for so long, and judge each snapshot."""
        product, replay = self.product, Replay()
        async with (
            aiohttp.ClientSession() as session,
            Sources(product) as sources,
            self._log() as log,
            Trace(product.times) as driver,
        ):
            apis = [Api(session, url) for url in product.urls]
            for api in apis:
                await api.until_ready()
            await until_published(apis[0], "steadyEnqueue")
            with self._watch() as watch, Vitals(self._pids) as seen:
                busy = asyncio.gather(load(apis[0]), sources.hear(), replay.follow(product.redis_url))
                around = Around(sources, replay, watch, seen, log, driver)
                try:
                    await self._follow(apis, around, time.time() + 60 * minutes)
                    if busy.done():
                        busy.result()
                finally:
                    busy.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await busy

    async def _follow(self, apis: list[Api], around: Around, ends_s: float) -> None:
        provocation = Provocation(self.product, apis, around.sources.said_s, around.watch.is_busy)
        number = 0
        while (slot_s := (time.time() + BEFORE_S) // self._every_s * self._every_s + self._every_s) + AFTER_S <= ends_s:
            await asyncio.sleep(slot_s - BEFORE_S - time.time())
            around.watch.near = around.vitals.near = True
            async with asyncio.TaskGroup() as together:
                together.create_task(provocation.around(slot_s, number))
                taken = together.create_task(until_taken(apis[0], slot_s))
                sampling = together.create_task(sample_until(around.sources, taken, slot_s))
            around.watch.near = around.vitals.near = False
            one = taken.result()
            ranges = around.ranges(one, provocation.read())
            said = await figures_of(apis[0], one.id) | one.figures
            wanted = set(Metric) - self.product.without
            findings = judge(said, sampling.result(), (one.at_s, one.ended_s), ranges, wanted)
            self.wrong += show(one, findings, len(sampling.result()), await around.sources.texts())
            around.forget(one.at_s)
            number += 1

    def _pids(self) -> list[int]:
        return [pid for part in ("api", "services", "worker") for pid in self.product.pids(part)]

    def _watch(self) -> Watch:
        if isinstance(self.product, BusyReplicated):
            return Sessions(self._pids, self.product.sql_url)
        return Locks(self._pids, self.product.database)

    def _log(self) -> StatementLog:
        return (ServerLog if isinstance(self.product, BusyReplicated) else Trace)(self.product.statements)


async def run(kind: str, minutes: float, every_s: float, folder: Path) -> int:
    product = deployment(kind, folder, every_s)
    check = Check(product, every_s)
    try:
        await product.start()
        await check.run(minutes)
    finally:
        await product.stop()
    for fault in product.faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if check.wrong or product.faults else 0


def show(one: Taken, findings: list[Finding], samples: int, texts: dict[str, Any]) -> int:
    """Print what was found, and return how much of it was wrong."""
    faults = one.node["faults"]
    wrong = sum(finding.verdict != "ok" for finding in findings) + len(faults) + (one.texts != texts)
    sys.stdout.write(f"\nSnapshot of {one.node['at']} (took {one.node['took']}), {samples} samples: {wrong} wrong\n")
    sys.stdout.write(f"{table(findings)}\n")
    sys.stdout.write(f"Besides: {one.texts}{' ok' if one.texts == texts else f' WRONG: {texts}'}\n")
    for fault in faults:
        sys.stdout.write(f"{fault['collector']}: {fault['reason']}\n")
    sys.stdout.flush()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.figures")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--every", type=float, default=300.0, help="seconds between two snapshots")
    parser.add_argument("--deployment", choices=["embedded", "replicated"], default="embedded")
    parser.add_argument("--folder", type=Path, help="for logs; left behind")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="qq-figures-"))
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(run(given.deployment, given.minutes, given.every, folder))


if __name__ == "__main__":
    sys.exit(main())
