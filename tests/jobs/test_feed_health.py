"""The subscription to the whole system."""

from __future__ import annotations

import asyncio

import pytest

from jobs.feed.health import HealthStates
from jobs.recent import Recent
from jobs.snapshot import Snapshot

READ_S = 0.4


async def test_a_source_that_was_slow_is_looked_at_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HealthStates, "pause_s", 0.05)
    monkeypatch.setattr(HealthStates, "pause_max_s", 0.1)
    monkeypatch.setattr("jobs.recent.KEPT_S", 0.0)
    slow, number = True, 0

    async def collect() -> Snapshot:
        nonlocal number
        number += 1
        if slow:
            await asyncio.sleep(READ_S)
        return Snapshot(at_ms=number, took_ms=0)

    states = HealthStates(Recent(collect))
    subscription = states.watch()
    try:
        assert (await anext(subscription)).at_ms == 1
        slow = False
        async with asyncio.timeout(READ_S):
            assert (await anext(subscription)).at_ms == 2
    finally:
        await states.close()
