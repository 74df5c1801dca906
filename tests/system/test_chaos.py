"""The chaos run: one seed in the gate, twenty with `./run test --long`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.system.chaos.plan import SEEDS, Deployment, catalogue, make_plan
from tests.system.chaos.run import run

GATE_SEED = 5
FIGURES = "CHAOS_FIGURES"
"""Names a file that the figures of each seed are added to, one line of JSON each."""


def test_a_seed_is_always_the_same_plan() -> None:
    assert make_plan(3) == make_plan(3)
    assert make_plan(3) != make_plan(5)


@pytest.mark.parametrize("where", Deployment)
def test_the_seeds_break_everything_that_can_be_broken(where: Deployment) -> None:
    plans = [plan for plan in map(make_plan, SEEDS) if plan.deployment is where]
    broken = {(fault.what, fault.part, fault.link) for plan in plans for fault in plan.faults}
    assert broken == {fault for group in catalogue(where).values() for fault in group}


@pytest.mark.timeout(240)
async def test_nothing_that_was_promised_is_broken_by_one_seed(folder: Path) -> None:
    await judge(GATE_SEED, folder)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_that_was_promised_is_broken(seed: int, folder: Path) -> None:
    await judge(seed, folder)


async def judge(seed: int, folder: Path) -> None:
    verdict = await run(make_plan(seed), folder)
    if file := os.environ.get(FIGURES):
        with Path(file).open("a", encoding="utf-8") as figures:  # noqa: ASYNC230  # the run is over
            figures.write(json.dumps(verdict.figures) + "\n")
    assert not verdict.contradictions, str(verdict)
