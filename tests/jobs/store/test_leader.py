"""Who leads, on both databases."""

from __future__ import annotations

import asyncio

from jobs.store import Store
from jobs.store.leader import Leadership


class Hands:
    """Clocks that the test moves. PostgreSQL has its own, which nothing moves."""

    def __init__(self) -> None:
        self.wall_ms = 1_000_000
        self.monotonic_s = 0.0


def candidate(store: Store, holder: str, hands: Hands, *, lease_ms: int = 60_000, name: str = "cook") -> Leadership:
    return Leadership(
        store._database,
        lambda: hands.wall_ms,
        name,
        holder,
        lease_ms=lease_ms,
        monotonic=lambda: hands.monotonic_s,
    )


async def test_one_of_many_leads_until_it_lets_go(store: Store) -> None:
    hands = Hands()
    some = [candidate(store, str(number), hands) for number in range(5)]
    leads = await asyncio.gather(*(one.holds() for one in some))
    assert sum(leads) == 1
    leader = some[leads.index(True)]
    assert [await one.holds() for one in some] == leads
    others = [one for one in some if one is not leader]
    await others[0].release()  # whoever does not lead lets nothing go
    assert [await one.holds() for one in some] == leads
    await leader.release()
    assert sum([await one.holds() for one in others]) == 1
    assert not await leader.holds()


async def test_names_are_led_apart(store: Store) -> None:
    hands = Hands()
    assert await candidate(store, "a", hands).holds()
    assert await candidate(store, "b", hands, name="waiter").holds()
    assert not await candidate(store, "b", hands).holds()


async def test_another_one_leads_where_the_leader_has_died(store: Store) -> None:
    hands = Hands()
    dead, heir = (candidate(store, holder, hands, lease_ms=300) for holder in "ab")
    assert await dead.holds()
    assert not await heir.holds()

    async with asyncio.timeout(10):
        while not await heir.holds():
            hands.wall_ms += 50
    hands.monotonic_s += 1  # the dead one wakes up
    assert not await dead.holds()


async def test_a_leader_that_renews_stays(store: Store) -> None:
    hands = Hands()
    leader, other = (candidate(store, holder, hands, lease_ms=3_000) for holder in "ab")
    for _ in range(10):
        assert await leader.holds()
        assert not await other.holds()
        hands.monotonic_s += leader.renew_s
        hands.wall_ms += 1_000


async def test_asked_often_it_does_not_write(store: Store) -> None:
    hands = Hands()
    leader = candidate(store, "a", hands)
    assert await leader.holds()
    await store._database.close()
    assert await leader.holds()


async def test_a_lease_from_a_clock_that_was_ahead_holds_up_nobody(store: Store) -> None:
    async with store._database.transaction() as transaction:
        await transaction.execute("INSERT INTO leader (name, holder, until_ms) VALUES ('cook', 'gone', 9000000000000)")
    assert await candidate(store, "a", Hands()).holds()
