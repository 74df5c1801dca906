"""Histograms: percentiles within their bound, whatever is added up, and text that others may have damaged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.bottleneck import BottleneckKind, bottlenecks, shown
from jobs.histogram import ERROR_MAX, LONGEST_MS, Histogram
from jobs.rollup import Figures

DURATIONS = st.one_of(
    st.integers(0, 50), st.integers(0, 100_000), st.integers(0, LONGEST_MS), st.sampled_from([1, 2, 10, 11, 121, 1331])
)


@given(durations=st.lists(DURATIONS, min_size=1, max_size=200), part=st.floats(0.001, 1))
def test_a_percentile_is_within_the_bound(durations: list[int], part: float) -> None:
    exact = sorted(durations)[max(1, math.ceil(part * len(durations) - 1e-9)) - 1]
    found = Histogram.of(durations).percentile(part)
    assert found is not None
    assert abs(found - exact) <= (ERROR_MAX + 1e-9) * exact
    assert ERROR_MAX <= 0.05


@given(groups=st.lists(st.lists(DURATIONS, max_size=30), max_size=6))
def test_histograms_add_up_as_figures_and_as_text(groups: list[list[int]]) -> None:
    whole = Histogram.of(one for group in groups for one in group)
    each = [Histogram.of(group) for group in groups]
    assert Histogram.sum(each) == whole
    assert Histogram.read(";".join(str(one) for one in each)) == whole
    assert Histogram.read(str(whole)) == whole
    assert whole.total == sum(map(len, groups))
    assert [Histogram.of(group) for group in groups] == each  # adding changes nothing


@given(text=st.one_of(st.text(max_size=60), st.text("0123456789,;:-e.[] ", max_size=60)))
def test_what_cannot_be_read_counts_as_empty(text: str) -> None:
    good = Histogram.of([5, 5, 900])
    found = Histogram.read(f"{text};{good}" if ";" not in text else f"{good};{text}")
    assert found.total is not None
    found.percentile(0.5)


@pytest.mark.parametrize("bad", ["x", "1,", "1,2,", "[1,2]", '"a",1', "1.5,2", "null,1"])
def test_what_is_damaged_takes_nothing_else_along(bad: str) -> None:
    good = Histogram.of([5, 5, 900])
    assert Histogram.read(f"{good};{bad};{good}") == Histogram.sum([good, good])


def test_no_durations() -> None:
    assert Histogram.read("") == Histogram()
    assert Histogram().percentile(0.5) is None
    assert (str(Histogram()), Histogram().total) == ("", 0)


def test_longer_than_the_longest_counts_as_that() -> None:
    figures = Figures()
    figures.wait(-5)
    figures.run(LONGEST_MS * 1000)
    assert (figures.wait_ms, figures.run_ms) == (0, LONGEST_MS)
    assert (figures.waits.percentile(0.5), figures.runs.percentile(0.5)) == (
        0.0, pytest.approx(LONGEST_MS, rel=ERROR_MAX)
    )  # fmt: skip


def made(*, runs_ms: int = 0, attempts: int = 0, failed: int = 0, lost: int = 0) -> Figures:
    figures = Figures(completed=attempts - failed - lost, failed=failed, lost=lost)
    for _ in range(attempts):
        figures.run(runs_ms)
    return figures


def test_bottlenecks_have_reasons() -> None:
    now = {
        "idle": Figures(accepted=5),
        "lost": made(runs_ms=1_000, attempts=1, lost=1),
        "mostly": made(runs_ms=10, attempts=1_000, failed=500),
        "once": made(runs_ms=10, attempts=1, failed=1),
        "quick": made(runs_ms=100, attempts=20),
        "slow": made(runs_ms=7_200_000, attempts=20),
        "steady": made(runs_ms=100, attempts=20),
    }
    before = {"quick": made(runs_ms=10_000, attempts=20), "steady": made(runs_ms=101, attempts=20), "gone": Figures()}
    before["mostly"] = made(runs_ms=10, attempts=10)
    found = bottlenecks(now, before)
    assert [(one.kind, one.task) for one in found] == [
        (BottleneckKind.SLOWEST, "slow"),
        (BottleneckKind.SLOWEST, "lost"),
        (BottleneckKind.SLOWEST, "steady"),
        (BottleneckKind.MOST_FAILING, "mostly"),
        (BottleneckKind.MOST_FAILING, "once"),
        (BottleneckKind.MOST_CHANGED, "quick"),
        (BottleneckKind.MOST_CHANGED, "mostly"),
    ]
    assert "the average was 2.0 h." in found[0].reason
    assert found[4].reason == "100.0 % of its one attempt failed."
    assert found[5].reason == "Its attempts took 100 ms on average, and 10 s in the window before."
    assert found[6].reason == "50.0 % of its attempts failed, and 0.0 % in the window before."
    assert bottlenecks({}, before) == []


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0, "0 ms"), (999, "999 ms"), (4_100, "4.1 s"), (59_000, "59 s"), (90_000, "1.5 min"), (36_000_000, "10 h")],
)
def test_durations_for_people(duration_ms: int, text: str) -> None:
    assert shown(duration_ms) == text
