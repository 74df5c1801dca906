"""The database that a bench of the store works on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def at(url: str) -> Iterator[str]:
    """Yield the URL, or where it is empty that of a SQLite database for the length of the block."""
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="qq-bench-") as name:
        yield f"sqlite://{Path(name) / 'bench.db'}"
