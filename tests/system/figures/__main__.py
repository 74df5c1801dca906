"""Starts the product, keeps it busy, waits for each snapshot, and says which of its figures were true."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.system.chaos.deployment import Deployment
from tests.system.chaos.embedded import Embedded
from tests.system.chaos.replicated import Replicated
from tests.system.figures.check import Finding, judge, table
from tests.system.figures.source import Figures, Sample, Sources
from tests.system.product import Api, until_published

BEFORE_S, AFTER_S = 7.0, 3.0
"""Around a snapshot its sources are sampled. A process says every five seconds how it is."""
SAMPLE_S = 0.25
ENQUEUE = "mutation ($input: JobEnqueueInput!) { jobEnqueue(input: $input) { userErrors { message } } }"
NEWEST = "{ snapshots(first: 1) { nodes { id at took faults { collector reason } redis { ...Texts } } } }\n"
NEWEST += "fragment Texts on RedisFigures { isConnected version policy isAppendOnly isAppendOk }"
FIGURES = """query ($id: ID!) {
    snapshotCompare(before: $id, after: $id) { differences { metric queue after } } }"""


def deployment(kind: str, folder: Path, every_s: float) -> Deployment:
    """Make the product, which takes snapshots so often."""

    def environ(self: Deployment) -> dict[str, str]:
        more = {"QUEUEQL_TASKS": "tests.system.figures.task", "QUEUEQL_SNAPSHOT_EVERY_S": str(every_s)}
        return super(made, self).environ() | more  # type: ignore[misc]  # of the class below

    base = Embedded if kind == "embedded" else Replicated
    made = type(f"Busy{base.__name__}", (base,), {"environ": environ})
    found: Deployment = made(folder)
    return found


async def load(api: Api) -> None:
    """Keep all kinds of jobs coming, about forty a second."""
    turn = 0
    while True:
        turn += 1
        inputs: list[dict[str, Any]] = [{"task": "quick"}] * 3
        if turn % 4 == 0:
            inputs.append({"task": "long", "args": {"seconds": 1.5}})
        if turn % 10 == 0:
            inputs += [{"task": "flaky"}, {"task": "quick", "delay": "PT15S"}]
        if turn % 30 == 0:
            inputs.append({"task": "failing"})
        await asyncio.gather(*(api.execute(ENQUEUE, {"input": one}) for one in inputs))
        await asyncio.sleep(0.08)


async def sample_until(sources: Sources, at_s: float) -> list[Sample]:
    samples = []
    while time.time() < at_s:
        samples.append(await sources.sample())
        await asyncio.sleep(SAMPLE_S)
    return samples


async def figures_of(api: Api, snapshot_id: str) -> Figures:
    found = (await api.execute(FIGURES, {"id": snapshot_id}))["snapshotCompare"]["differences"]
    return {(one["metric"], one["queue"] or ""): one["after"] for one in found}


async def run(kind: str, minutes: float, every_s: float, folder: Path) -> int:
    product = deployment(kind, folder, every_s)
    wrong = 0
    await product.start()
    try:
        async with aiohttp.ClientSession() as session, Sources(product) as sources:
            api = Api(session, product.urls[0])
            await api.until_ready()
            await until_published(api, "quickEnqueue")
            busy = asyncio.create_task(load(api))
            try:
                ends_s = time.time() + 60 * minutes
                while (slot_s := (time.time() + BEFORE_S) // every_s * every_s + every_s) + AFTER_S <= ends_s:
                    await asyncio.sleep(max(0.0, slot_s - BEFORE_S - time.time()))
                    samples = await sample_until(sources, slot_s + AFTER_S)
                    (newest,) = (await api.execute(NEWEST))["snapshots"]["nodes"]
                    at_s = datetime.fromisoformat(newest["at"]).timestamp()
                    assert abs(at_s - slot_s) < 1.0, f"The snapshot of {slot_s} is of {newest['at']}."
                    findings = judge(await figures_of(api, newest["id"]), samples, at_s)
                    wrong += show(newest, findings, len(samples), await sources.texts())
                    if busy.done():
                        busy.result()
            finally:
                busy.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await busy
    finally:
        await product.stop()
    for fault in product.faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if wrong or product.faults else 0


def show(newest: dict[str, Any], findings: list[Finding], samples: int, texts: dict[str, Any]) -> int:
    """Print what was found, and return how much of it was wrong."""
    wrong = sum(one.verdict in ("WRONG", "NO SOURCE") for one in findings) + len(newest["faults"])
    wrong += newest["redis"] != texts
    sys.stdout.write(f"\nSnapshot of {newest['at']} (took {newest['took']}), {samples} samples: {wrong} wrong\n")
    sys.stdout.write(f"{table(findings)}\n")
    sys.stdout.write(f"Redis besides: {newest['redis']}{' ok' if newest['redis'] == texts else f' WRONG: {texts}'}\n")
    for fault in newest["faults"]:
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
