"""A process whose files may grow to LIMIT bytes: full_disk.py URL LIMIT. Prints the error that ends acceptance."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from jobs.errors import StoreUnavailable
from jobs.store import Store
from tests.factories import make_spec


async def main(url: str, limit: int) -> None:
    store = await Store.open(url)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    accepted: list[str] = []
    try:
        while len(accepted) < 1_000:
            accepted.append((await store.accept.accept(make_spec(args={"text": "x" * 50_000}))).job_id)
    except StoreUnavailable as error:
        sys.stdout.write(f"{error}\n")
    found = await store.search.jobs_by_id(accepted)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = await store.accept.accept(make_spec())
    sys.stdout.write(f"{len(accepted) == len(found)} {not again.duplicate}\n")
    await store.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
