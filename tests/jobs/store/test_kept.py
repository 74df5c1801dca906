"""Since when there are minutes and hours: what is promised is there, and no clock that was ahead shuts out the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.job import State
from jobs.retention import SHIPPED, Kind
from jobs.statistics import Asked, Kept, Span
from jobs.store import Store, rollup
from tests.factories import make_spec
from tests.jobs.store.counted import stored
from tests.jobs.store.recount import Recount
from tests.jobs.store.story import BEGIN_MS, Story, Tale

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


async def happen(story: Story, *moments_ms: int, recount: Recount | None = None) -> None:
    """Let a job be enqueued at each of these moments after the beginning, in one batch."""
    tales = []
    for moment_ms in moments_ms:
        tale = Tale(make_spec("x", queue="a"), memory=True)
        tale.at_ms = BEGIN_MS + moment_ms - 10
        tales.append(tale.enqueued())
        if recount:
            recount.add(tale.events[0])
    await story.record(*tales)


async def clean(store: Store, *kinds: Kind, after_ms: int) -> None:
    """Let retention remove what the shipped policies do not keep."""
    for kind in kinds:
        async for _ in store.retention.run(SHIPPED[kind], now_ms=BEGIN_MS + after_ms, grace_ms=0):
            pass


async def accepted(store: Store, from_ms: int, until_ms: int, step: Span | None = None) -> tuple[Span, list[int]]:
    """How precisely it is known what was accepted, and how much that is."""
    report = await store.statistics.report(Asked(), BEGIN_MS + from_ms, BEGIN_MS + until_ms, step)
    return report.step or report.window.precision, [part.figures.accepted for part in report.parts]


async def test_minutes_go_on_after_a_clock_was_days_ahead(store: Store, story: Story) -> None:
    await happen(story, 20 * MINUTE_MS)
    await happen(story, 8 * DAY_MS)
    await clean(store, Kind.ROLLUP_MINUTE, after_ms=8 * DAY_MS)  # as long as the clock is ahead
    for minute in (30, 65, 70, 75):
        await happen(story, minute * MINUTE_MS)
    assert await store.statistics.kept() == Kept(minutes_ms=BEGIN_MS + HOUR_MS, hours_ms=0)
    assert await accepted(store, 60 * MINUTE_MS, 71 * MINUTE_MS) == (Span.MINUTE, [2])
    assert await accepted(store, HOUR_MS, 2 * HOUR_MS, Span.MINUTE) == (Span.MINUTE, [1, 1, 1])
    assert await accepted(store, 0, 30 * MINUTE_MS) == (Span.HOUR, [2])  # the minutes of this hour are gone
    assert await accepted(store, 0, 9 * DAY_MS, Span.DAY) == (Span.DAY, [5, 1])
    assert (await store.statistics.states(BEGIN_MS + DAY_MS))[2][State.QUEUED] == 5


async def test_hours_go_on_the_day_after_a_clock_was_months_ahead(store: Store, story: Story) -> None:
    to_midnight_ms = DAY_MS - BEGIN_MS % DAY_MS
    await happen(story, 20 * MINUTE_MS)
    await happen(story, 100 * DAY_MS)
    await clean(store, Kind.ROLLUP_MINUTE, Kind.ROLLUP_HOUR, after_ms=100 * DAY_MS)
    for moment_ms in (65 * MINUTE_MS, to_midnight_ms, to_midnight_ms + 5 * MINUTE_MS, to_midnight_ms + HOUR_MS):
        await happen(story, moment_ms)
    assert await store.statistics.kept() == Kept(BEGIN_MS + to_midnight_ms, BEGIN_MS + to_midnight_ms)
    assert await accepted(store, to_midnight_ms, to_midnight_ms + 3 * HOUR_MS, Span.HOUR) == (Span.HOUR, [2, 1])
    assert await accepted(store, to_midnight_ms, to_midnight_ms + 2 * MINUTE_MS) == (Span.MINUTE, [1])
    assert await accepted(store, 0, HOUR_MS) == (Span.DAY, [2])


async def test_an_hour_whose_minutes_are_all_gone_gets_none_again(store: Store, story: Story) -> None:
    await happen(story, 20 * MINUTE_MS)
    await clean(store, Kind.ROLLUP_MINUTE, after_ms=8 * DAY_MS)  # the clock was ahead, and nothing happened then
    await happen(story, 30 * MINUTE_MS, 65 * MINUTE_MS)
    assert await store.statistics.kept() == Kept(BEGIN_MS + HOUR_MS, 0)
    assert await accepted(store, 25 * MINUTE_MS, 35 * MINUTE_MS) == (Span.HOUR, [2])
    assert await accepted(store, 60 * MINUTE_MS, 70 * MINUTE_MS) == (Span.MINUTE, [1])


async def test_a_system_that_was_idle_for_weeks_is_precise_since_it_was(store: Store, story: Story) -> None:
    await happen(story, 20 * MINUTE_MS)
    await clean(store, Kind.ROLLUP_MINUTE, after_ms=30 * DAY_MS)
    assert await store.statistics.kept() == Kept(BEGIN_MS + HOUR_MS, 0)
    await happen(story, 30 * DAY_MS)
    assert await store.statistics.kept() == Kept(BEGIN_MS + HOUR_MS, 0)
    assert await accepted(store, 2 * HOUR_MS, 30 * DAY_MS + MINUTE_MS) == (Span.MINUTE, [1])


MOMENTS_MS = st.builds(
    lambda days, hours, minutes: days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS,
    st.sampled_from([0, 0, 0, 1, 5, 9, 95, 200]),
    st.integers(0, 20),
    st.sampled_from([0, 1, 59]),
)
ACTS = st.lists(st.tuples(MOMENTS_MS, st.sampled_from(["happens", "happens", "happens", "cleaned"])), max_size=15)


@given(acts=ACTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_whatever_clocks_do_what_is_kept_is_whole(store: Store, acts: list[tuple[int, str]]) -> None:
    for table in ("job", "rollup"):
        async with store._database.transaction() as transaction:
            await transaction.execute(f"DELETE FROM {table}")  # noqa: S608  # names of our own
    story, recount = Story(store), Recount()
    story._ms = (await store.history.position()).ms or BEGIN_MS
    for moment_ms, act in acts:
        if act == "happens":
            await happen(story, moment_ms, recount=recount)
        else:
            await clean(store, Kind.ROLLUP_MINUTE, Kind.ROLLUP_HOUR, after_ms=moment_ms)
    kept, rows = await store.statistics.kept(), await stored(store)
    for span in Span:
        assert {key: one for key, one in rows.items() if key[0] == span and kept.has(span, key[3])} == {
            key: one for key, one in recount.rows().items() if key[0] == span and kept.has(span, key[3])
        }


async def test_minutes_whose_hours_are_gone_tell_nothing(store: Store, story: Story) -> None:
    await happen(story, 20 * MINUTE_MS, DAY_MS, DAY_MS + 65 * MINUTE_MS)
    await clean(store, Kind.ROLLUP_HOUR, after_ms=100 * DAY_MS)  # minutes are kept for ever here
    kept = await store.statistics.kept()
    assert kept.minutes_ms == kept.hours_ms > BEGIN_MS + DAY_MS
    assert await accepted(store, DAY_MS, DAY_MS + 70 * MINUTE_MS) == (Span.DAY, [2])
    assert await accepted(store, DAY_MS, DAY_MS + 70 * MINUTE_MS, Span.MINUTE) == (Span.DAY, [2])


@pytest.mark.parametrize("dialect", ["postgres"])  # SQLite has one writer: nothing comes in between
@pytest.mark.parametrize("step", ["_from", "read_kept"])
async def test_minutes_that_go_while_a_late_event_is_counted_are_not_begun_anew(
    store: Store, story: Story, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await happen(story, 5 * MINUTE_MS, 40 * MINUTE_MS)
    await happen(story, 9 * DAY_MS)
    read = getattr(rollup, step)

    async def read_then_clean(*given: Any) -> Any:
        found = await read(*given)
        monkeypatch.undo()
        await clean(store, Kind.ROLLUP_MINUTE, after_ms=9 * DAY_MS)
        return found

    monkeypatch.setattr(rollup, step, read_then_clean)
    await happen(story, 20 * MINUTE_MS)
    assert getattr(rollup, step) is read
    assert (await store.statistics.kept()).minutes_ms > BEGIN_MS
    assert await accepted(store, 10 * MINUTE_MS, 50 * MINUTE_MS) == (Span.HOUR, [3])
