"""A process that accepts jobs: writer.py URL COUNT. Prints how many were accepted and the worst wait in ms."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from jobs.store import Store
from tests.factories import make_spec


async def main(url: str, count: int) -> None:
    store = await Store.open(url)
    worst = 0.0
    accepted = 0
    for _ in range(count):
        began = time.monotonic()
        accepted += not (await store.accept.accept(make_spec())).duplicate
        worst = max(worst, time.monotonic() - began)
    await store.close()
    sys.stdout.write(f"{accepted} {worst * 1000:.1f}\n")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
