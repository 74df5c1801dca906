"""What a database holds: its newest migration, and rows by table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Described(NamedTuple):
    """A database at one moment."""

    migration: str
    """Empty where it was never migrated."""
    counts: dict[str, int]


def newest(versions: Sequence[str]) -> str:
    """Return the newest of some migrations, which begin with their number."""
    return max(versions, key=lambda name: int(name.partition("_")[0]), default="")
