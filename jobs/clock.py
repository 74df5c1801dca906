"""Time and ids, as functions that are handed in, so that tests can hold them."""

from __future__ import annotations

import time
from collections.abc import Callable

import uuid_utils

Clock = Callable[[], int]
"""Milliseconds since 1970."""
NewId = Callable[[], str]
"""A fresh id that sorts by time."""


def now_ms() -> int:
    """Milliseconds since 1970 by the clock of this machine."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Make a UUIDv7 in its canonical form."""
    return str(uuid_utils.uuid7())
