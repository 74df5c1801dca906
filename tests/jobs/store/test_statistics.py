"""Statistics of any window are what its minutes add up to, also where the minutes are gone."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.event import JobEvent, Position
from jobs.job import State
from jobs.rollup import Figures
from jobs.statistics import Asked, Kept, Span, Window
from jobs.store import Store
from tests.factories import make_spec
from tests.jobs.store.recount import Recount
from tests.jobs.store.story import Tale

BEGIN_MS = 1_800_000_000_000 + 5 * 3_600_000
DAYS = 5
PLACES = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "z")]


@pytest.fixture
async def recount(store: Store) -> Recount:
    """Some days of jobs, recorded, and what there was."""
    chance = random.Random(3)  # noqa: S311  # data for a test
    recount = Recount()
    specs = []
    batch: list[JobEvent] = []
    for number in range(120):
        queue, task = PLACES[number % len(PLACES)]
        spec = make_spec(task, queue=queue)
        specs.append(spec)
        recount.accepted(spec, 1, spec.created_ms)
        tale = Tale(spec)
        tale.at_ms = BEGIN_MS + chance.randrange(DAYS * 86_400_000)
        tale.enqueued()
        if number % 10:
            tale.at_ms += chance.randrange(7_200_000)
            tale.started()
        if number % 5:
            tale.at_ms += chance.randrange(200_000)
            tale.completed() if number % 3 else tale.died()
        batch += tale.events
    await store.accept.accept_many(specs)
    placed = [(Position(1, 1, 0, index), event) for index, event in enumerate(batch)]
    await store.history.record(placed, old=await store.history.position(), new=Position(1, 2, 0, 0))
    for event in batch:
        recount.add(event)
    return recount


def summed(recount: Recount, window: Window, asked: Asked) -> dict[tuple[str | None, str | None], Figures]:
    """Add up the minutes of a window."""
    found: dict[tuple[str | None, str | None], list[Figures]] = {}
    for (span_s, queue, task, at_ms), figures in recount.rows().items():
        if span_s != 60 or not queue or not task or not window.from_ms <= at_ms < window.until_ms:
            continue
        if asked.queue in (None, queue) and asked.task in (None, task):
            place = (
                queue if asked.by_queue or asked.queue else None,
                task if asked.by_task or asked.task else None,
            )
            found.setdefault(place, []).append(figures)
    return {place: Figures.sum(each) for place, each in found.items()}


ASKED = st.builds(
    Asked,
    queue=st.sampled_from([None, None, "a", "b", "none"]),
    task=st.sampled_from([None, None, "x", "y"]),
    by_queue=st.booleans(),
    by_task=st.booleans(),
)
MOMENTS = st.integers(-100_000, DAYS * 86_400_000 + 7_200_000).map(lambda ms: BEGIN_MS + ms)


@given(asked=ASKED, ends=st.tuples(MOMENTS, MOMENTS).filter(lambda ends: ends[0] < ends[1]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_window_is_what_its_minutes_add_up_to(
    store: Store, recount: Recount, asked: Asked, ends: tuple[int, int]
) -> None:
    report = await store.statistics.report(asked, *ends)
    window = report.window
    assert window.from_ms <= ends[0] < window.from_ms + 60_000
    assert window.until_ms - 60_000 < ends[1] <= window.until_ms
    assert window.precision is Span.MINUTE
    found = {(part.queue, part.task): part.figures for part in report.parts}
    assert len(found) == len(report.parts)
    assert found == summed(recount, window, asked)
    assert report.total == Figures.sum([*found.values(), Figures()])
    assert report.is_complete


@pytest.mark.parametrize("asked", [Asked(by_queue=True), Asked(by_task=True), Asked(by_queue=True, by_task=True)])
@pytest.mark.parametrize("step", [None, Span.DAY])
async def test_groups_that_are_left_out_count_in_all_and_are_told_of(
    store: Store, recount: Recount, monkeypatch: pytest.MonkeyPatch, asked: Asked, step: Span | None
) -> None:
    monkeypatch.setattr("jobs.store.statistics.GROUPS_MAX", 1)
    report = await store.statistics.report(asked, BEGIN_MS, BEGIN_MS + DAYS * 86_400_000, step)
    assert len({(part.queue, part.task) for part in report.parts}) == 1
    assert not report.is_complete
    if step is None:
        assert report.total == summed(recount, report.window, Asked())[None, None]


async def test_a_series_has_as_many_lines_as_can_be_read_at_once(
    store: Store, recount: Recount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.statistics.POINTS_MAX", 24)
    asked, end_ms = Asked(by_queue=True), BEGIN_MS // 86_400_000 * 86_400_000 + 86_400_000
    day = await store.statistics.report(asked, end_ms, end_ms + 86_400_000, Span.HOUR)
    half = await store.statistics.report(asked, end_ms, end_ms + 43_200_000, Span.HOUR)
    assert ({part.queue for part in day.parts}, day.is_complete) == ({"a"}, False)
    assert ({part.queue for part in half.parts}, half.is_complete) == ({"a", "b"}, True)


@given(asked=ASKED, ends=st.tuples(MOMENTS, MOMENTS).filter(lambda ends: ends[0] < ends[1]), step=st.sampled_from(Span))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_series_is_made_of_whole_steps(
    store: Store, recount: Recount, asked: Asked, ends: tuple[int, int], step: Span
) -> None:
    report = await store.statistics.report(asked, *ends, step=step)
    assert report.step == step
    assert report.window.from_ms <= ends[0] < report.window.from_ms + step.ms
    assert report.window.until_ms - step.ms < ends[1] <= report.window.until_ms
    for part in report.parts:
        piece = Window(part.at_ms, part.at_ms + step.ms)
        assert part.at_ms % step.ms == 0
        assert summed(recount, piece, asked)[part.queue, part.task] == part.figures
    counted = sum(part.figures.accepted for part in report.parts)
    happened = sum(one.accepted for one in summed(recount, report.window, asked).values())
    assert counted == happened if report.is_complete else counted < happened


@given(at_ms=MOMENTS, queue=st.sampled_from([None, "a", "b"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_past_moment_has_the_states_of_then(
    store: Store, recount: Recount, at_ms: int, queue: str | None
) -> None:
    exact_ms, precision, states = await store.statistics.states(at_ms, queue)
    assert (exact_ms, precision) == (at_ms - at_ms % 60_000, Span.MINUTE)
    (figures,) = summed(recount, Window(0, exact_ms), Asked(queue=queue)).values() or (Figures(),)
    assert states == {
        State.BLOCKED: 0,
        State.SCHEDULED: 0,
        State.QUEUED: figures.entered_queued,
        State.ACTIVE: figures.entered_active,
        State.RETRYING: 0,
    }


async def remove(store: Store, span: Span, before_ms: int) -> None:
    async with store._database.transaction() as transaction:
        await transaction.execute("DELETE FROM rollup WHERE span_s = $1 AND at_ms < $2", (int(span), before_ms))


@pytest.mark.parametrize("cut_ms", [0, 1_234_000])
async def test_where_minutes_are_gone_hours_answer_and_then_days(store: Store, recount: Recount, cut_ms: int) -> None:
    await remove(store, Span.MINUTE, BEGIN_MS + 3 * 86_400_000 + cut_ms)
    await remove(store, Span.HOUR, BEGIN_MS + 2 * 86_400_000 + cut_ms)
    minutes_ms, hours_ms = BEGIN_MS + 3 * 86_400_000 + 6 * 3_600_000, BEGIN_MS + 3 * 86_400_000
    chance = random.Random(1)  # noqa: S311  # data for a test
    precisions = set()
    for _ in range(60):
        ends = sorted(BEGIN_MS + chance.randrange(DAYS * 86_400_000) for _ in range(2))
        report = await store.statistics.report(Asked(by_queue=True), *ends)
        window = report.window
        precisions.add(window.precision)
        assert window.from_ms <= ends[0] < ends[1] <= window.until_ms
        assert ends[0] - window.from_ms < window.precision.ms > window.until_ms - ends[1]
        assert {(part.queue, part.task): part.figures for part in report.parts} == summed(
            recount, window, Asked(by_queue=True)
        )
        assert ends[0] < minutes_ms or window.precision is Span.MINUTE
        assert ends[0] < hours_ms or window.precision is not Span.DAY
        exact_ms, precision, states = await store.statistics.states(ends[0])
        assert exact_ms <= ends[0] < exact_ms + precision.ms
        figures = Figures.sum([*summed(recount, Window(0, exact_ms), Asked()).values(), Figures()])
        assert states[State.QUEUED] == figures.entered_queued
    assert precisions == set(Span)
    assert (await store.statistics.report(Asked(), BEGIN_MS, BEGIN_MS + 60_000, Span.MINUTE)).step is Span.DAY


async def test_what_comes_too_late_for_minutes_that_are_gone_counts_in_hours(store: Store, recount: Recount) -> None:
    await remove(store, Span.MINUTE, BEGIN_MS + 3 * 86_400_000)
    kept = await store.statistics.kept()
    late_ms = BEGIN_MS + 86_400_000
    tale = Tale(make_spec("x", queue="a"), memory=True)
    tale.at_ms = late_ms
    tale.enqueued()
    old = await store.history.position()
    await store.history.record([(Position(2, 1, 0, 0), tale.events[0])], old=old, new=Position(2, 1, 0, 1))
    recount.add(tale.events[0])
    assert await store.statistics.kept() == kept
    report = await store.statistics.report(Asked(), late_ms, late_ms + 60_000)
    assert report.window.precision is Span.HOUR
    assert report.parts[0].figures == summed(recount, report.window, Asked())[None, None]
    whole = await store.statistics.report(Asked(queue="a", by_task=True), BEGIN_MS - 60_000, BEGIN_MS + 9 * 86_400_000)
    asked = Asked(queue="a", by_task=True)
    assert {(one.queue, one.task): one.figures for one in whole.parts} == summed(recount, whole.window, asked)


async def test_a_young_system_is_precise_although_it_has_no_past(store: Store, recount: Recount) -> None:
    first_ms = min(key[3] for key in recount.rows() if key[0] == 60)
    report = await store.statistics.report(Asked(), first_ms - 200_000, first_ms + 60_000)
    assert (report.window.from_ms, report.window.precision) == ((first_ms - 200_000) // 60_000 * 60_000, Span.MINUTE)
    assert report.parts[0].figures.accepted >= 1


async def test_no_past_at_all(store: Store) -> None:
    assert (await store.statistics.report(Asked(by_task=True), BEGIN_MS, BEGIN_MS + 1)).parts == []
    assert (await store.statistics.states(BEGIN_MS))[2] == dict.fromkeys(
        [State.BLOCKED, State.SCHEDULED, State.QUEUED, State.ACTIVE, State.RETRYING], 0
    )


@given(ends=st.tuples(st.integers(0, 10_000_000), st.integers(0, 10_000_000)).map(sorted))
def test_a_window_is_told_by_six_rows_at_most(ends: list[int]) -> None:
    window = Window(ends[0] * 60_000, ends[1] * 60_000)
    marks = window.marks()
    assert len(marks) <= 6
    for sign, end_ms in ((1, window.until_ms), (-1, window.from_ms)):
        at_ms = 0
        for mark in [one for one in marks if one.sign == sign]:  # each goes on where the one before ends
            last_ms = mark.until_ms - mark.span.ms
            assert mark.from_ms == at_ms <= last_ms
            assert mark.from_ms % mark.span.ms == mark.until_ms % mark.span.ms == 0
            assert mark.span.since(last_ms) == mark.from_ms
            at_ms = mark.until_ms
        assert at_ms == end_ms


_WITHIN_5_DAYS_MS = st.integers(0, 5 * 24).map(lambda hour: hour * Span.HOUR.ms) | st.integers(0, 5 * Span.DAY.ms)


@given(
    ends=st.tuples(_WITHIN_5_DAYS_MS, st.integers(0, 60_001) | _WITHIN_5_DAYS_MS),
    days=st.integers(0, 5),
    hours=st.integers(0, 5 * 24),
)
def test_a_window_moves_out_by_less_than_it_says(ends: tuple[int, int], days: int, hours: int) -> None:
    hours_ms = days * Span.DAY.ms
    kept = Kept(max(hours_ms, hours * Span.HOUR.ms), hours_ms)
    from_ms, until_ms = ends[0], ends[0] + ends[1]
    window = kept.window(from_ms, until_ms)
    assert 0 <= from_ms - window.from_ms < window.precision.ms
    assert 0 <= window.until_ms - until_ms < window.precision.ms


async def test_a_first_hour_of_which_a_part_is_gone_is_not_precise(store: Store, recount: Recount) -> None:
    (row,) = await store._database.fetch("SELECT min(at_ms) AS first_ms FROM rollup WHERE span_s = 60")
    first_ms = row["first_ms"]
    assert (await store.statistics.kept()).minutes_ms == 0
    await remove(store, Span.MINUTE, first_ms + 1)
    kept = await store.statistics.kept()
    assert kept.minutes_ms == first_ms + Span.HOUR.ms
    assert kept.hours_ms == 0
