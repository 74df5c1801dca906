"""A task that writes down each time it runs."""

from __future__ import annotations

import os
from pathlib import Path

from jobs import task


@task
async def note(name: str) -> str:
    """Write the name into the ledger."""
    with Path(os.environ["LEDGER"]).open("a", encoding="ascii") as ledger:  # noqa: ASYNC230  # one short line
        ledger.write(f"{name}\n")
    return name
