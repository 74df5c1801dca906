"""Loops of which one leads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobs.services.leading import LeaderLoop
from jobs.store import Store
from tests.freezer import Freezer
from tests.wait import until


class Counting(LeaderLoop):
    name = "counting"

    def __init__(self, store: Store, pause_s: float = 0.01) -> None:
        super().__init__(store)
        self.rounds = 0
        self.pause_s = pause_s

    async def lead(self) -> float:
        self.rounds += 1
        return self.pause_s


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[list[Store]]:
    stores = [await Store.open(database_url) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


async def test_one_works_and_the_other_takes_over(stores: list[Store]) -> None:
    loops = [Counting(store) for store in stores]
    for loop in loops:
        loop.leadership._lease_ms = 600
        loop.start()
    await until(lambda: max(loop.rounds for loop in loops) > 10)
    first, second = sorted(loops, key=lambda loop: -loop.rounds)
    assert second.rounds == 0
    await first.stop()
    led = first.rounds
    await until(lambda: second.rounds > 10)
    assert first.rounds == led
    await second.stop()


async def test_a_leader_that_stops_lets_another_one_lead_at_once(stores: list[Store]) -> None:
    first, second = (Counting(store) for store in stores)
    first.start()
    await until(lambda: first.rounds)
    assert not await second.leadership.holds()
    await first.stop()
    assert await second.leadership.holds()


async def test_a_leader_that_waits_long_for_its_next_round_stays_the_leader(stores: list[Store]) -> None:
    loops = [Counting(store, pause_s=3_600) for store in stores]
    for loop in loops:
        loop.leadership._lease_ms = 300
        loop.start()
    await until(lambda: any(loop.rounds for loop in loops))
    asked: list[int] = []
    first = next(loop for loop in loops if loop.rounds)
    holds = first.leadership.holds

    async def count() -> bool:
        asked.append(1)
        return await holds()

    first.leadership.holds = count  # type: ignore[method-assign]  # it listens
    await until(lambda: len(asked) > 6)
    assert sorted(loop.rounds for loop in loops) == [0, 1]
    assert all(loop.health().ok for loop in loops)
    for loop in loops:
        await loop.stop()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_leader_that_is_frozen_finds_another_one_leading(stores: list[Store]) -> None:
    with Freezer() as freezer:
        first, second = (Counting(store) for store in stores)
        for owner, loop in (("first", first), ("second", second)):
            loop.leadership._lease_ms = 300
            with freezer.owned(owner):
                loop.start()
            await until(lambda: first.rounds > 3)
        freezer.freeze("first", "counting")
        await until(lambda: second.rounds > 3)
        led = first.rounds
        freezer.thaw()
        assert not await first.leadership.holds()
        await until(lambda: second.rounds > led + 10)
        assert first.rounds <= led + 1  # what it was about to do when it was frozen
        await first.stop()
        await second.stop()
