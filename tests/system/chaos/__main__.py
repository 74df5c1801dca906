"""Runs one seed by hand: `python -m tests.system.chaos --seed 7 [--deployment embedded]`; prints plan and figures.

With `--bare-saq` the same jobs, and those of the faults that apply, meet SAQ alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.system.chaos import bare_saq
from tests.system.chaos.plan import Deployment, make_plan
from tests.system.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--deployment", type=Deployment, choices=list(Deployment))
    parser.add_argument("--folder", type=Path, help="for logs and the ledger; left behind")
    parser.add_argument("--bare-saq", action="store_true", help="against SAQ as it comes, for comparison")
    given = parser.parse_args()
    plan = make_plan(given.seed, given.deployment)
    sys.stderr.write(f"{plan}\n")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="qq-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if given.bare_saq:
        sys.stdout.write(json.dumps(asyncio.run(bare_saq.run(plan, folder)), indent=2) + "\n")
        return 0
    verdict = asyncio.run(run(plan, folder))
    sys.stdout.write(json.dumps(verdict.figures, indent=2) + "\n")
    if verdict.contradictions:
        sys.stderr.write(f"{verdict}\nLogs: {folder}\n")
    return 1 if verdict.contradictions else 0


if __name__ == "__main__":
    sys.exit(main())
