"""How every loop reports, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from jobs.errors import BrokerUnavailable, EpochChanged, StoreUnavailable
from jobs.services import base
from jobs.services.base import Loop
from tests.wait import until


class Turning(Loop):
    """Takes turns that do what the test says."""

    name = "turning"

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.faults: list[Exception] = []
        self.free = asyncio.Event()
        self.free.set()

    async def turn(self) -> float:
        self.turns += 1
        if self.faults:
            raise self.faults[self.turns % len(self.faults)]
        await self.free.wait()
        return 0.01


async def test_a_loop_that_is_frozen_turns_red_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert base.STUCK_S < 15
    monkeypatch.setattr(base, "STUCK_S", 0.2)
    loop = Turning()
    assert not loop.health().ok
    loop.start()
    await until(lambda: loop.turns > 2)
    assert loop.health().ok
    loop.free.clear()
    await until(lambda: not loop.health().ok)
    assert "has made no turn" in loop.health().detail
    loop.moves()
    assert loop.health().ok
    await until(lambda: not loop.health().ok)
    loop.free.set()
    await until(lambda: loop.health().ok)
    await loop.stop()
    assert loop.health().detail == "The turning is not running."


async def test_an_outage_is_one_line_of_the_log_whatever_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PAUSE_MIN_S", 0.001)
    monkeypatch.setattr(base, "PAUSE_MAX_S", 0.001)
    loop = Turning()
    loop.faults = [StoreUnavailable("a: secret"), BrokerUnavailable("b: secret"), EpochChanged("c")]
    with capture_logs() as lines:
        loop.start()
        await until(lambda: loop.turns > 20)
        assert loop.health().detail in {f"The turning fails: {what}." for what in "abc"}
        loop.faults = []
        await until(lambda: loop.health().ok)
        await loop.stop()
    assert [line["event"] for line in lines] == ["loop.fault"] * 3 + ["loop.recovered"]
    assert sorted(line["log_level"] for line in lines) == ["info", "info", "warning", "warning"]


async def test_a_loop_that_is_frozen_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "STOP_TIMEOUT_S", 0.1)
    loop = Turning()
    loop.start()
    loop.free.clear()
    await until(lambda: loop.turns > 0)
    async with asyncio.timeout(5):
        await loop.stop()
        await loop.stop()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "turning"] == []
