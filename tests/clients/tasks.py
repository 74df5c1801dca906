"""Tasks whose arguments use every scalar that the schema has for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from jobs import task


@task
async def describe(subject: UUID, at: datetime, length: timedelta, count: int) -> str:
    """Say what was given.

    Args:
        subject: Any id.
        at: Any time.
        length: Any length of time.
        count: Any number.
    """
    return f"{subject} {at} {length} {count}"
