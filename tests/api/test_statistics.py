"""Statistics through the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.clock import now_ms
from jobs.job import JobSpec
from jobs.store import Store
from tests.api.caller import Caller
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale
from tests.wait import eventually

FIGURES = """
  queue task from until accepted started completed failed dead cancelled lost snoozed released successRate throughput
  wait { count average p50 p90 p95 p99 } run { count average p50 p90 p95 p99 } cpu cpuPerRun
"""
REPORT = f"""
query ($window: Duration, $range: TimeRange, $queue: String, $task: String, $groupBy: StatisticsGroup) {{
  statistics(window: $window, range: $range, queue: $queue, task: $task, groupBy: $groupBy) {{
    from until precision oldestWait total {{ {FIGURES} }} groups {{ {FIGURES} }} bottlenecks {{ kind task reason }}
  }}
}}
"""
SERIES = """
query ($step: StatisticsSpan!, $window: Duration, $groupBy: StatisticsGroup) {
  statisticsSeries(step: $step, window: $window, groupBy: $groupBy) {
    from until step lines { queue task points { from until accepted completed throughput } }
  }
}
"""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def lived(store: Store, story: Story, task: str, queue: str, *, ago_ms: int, run_ms: int, fails: bool) -> JobSpec:
    """Record a job that was enqueued so long ago, waited for two seconds, and ran."""
    spec = make_spec(task, queue=queue)
    await store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = now_ms() - ago_ms - 10
    tale.enqueued()
    tale.at_ms += 1_990
    tale.started()
    tale.at_ms += run_ms - 10
    await story.record(tale.died() if fails else tale.completed())
    return spec


@pytest.fixture
async def past(api: Caller, published: Any) -> None:
    """Three hours in which one task was slow, one failed, and one became slower."""
    story = Story(published.store)
    for number in range(12):
        ago_ms = 1_500_000 - number * 60_000
        await lived(published.store, story, "slow", "a", ago_ms=ago_ms, run_ms=40_000, fails=False)
        await lived(published.store, story, "failing", "b", ago_ms=ago_ms, run_ms=100, fails=number % 3 == 0)
        await lived(published.store, story, "changing", "a", ago_ms=ago_ms, run_ms=3_000, fails=False)
        ago_ms += 5_400_000
        await lived(published.store, story, "changing", "a", ago_ms=ago_ms, run_ms=500, fails=False)


@pytest.mark.usefixtures("past")
async def test_a_report_in_all_and_by_group(api: Caller) -> None:
    report = (await api.data(REPORT, window="PT1H", groupBy="TASK"))["statistics"]
    assert moment(report["until"]) - moment(report["from"]) in (timedelta(hours=1), timedelta(hours=1, minutes=1))
    assert (report["precision"], report["oldestWait"]) == ("MINUTE", None)
    total = report["total"]
    assert (total["queue"], total["task"]) == (None, None)
    assert [total[name] for name in ("accepted", "started", "completed", "failed", "dead")] == [
        "36",
        "36",
        "32",
        "4",
        "4",
    ]
    assert total["successRate"] == pytest.approx(32 / 36)
    assert total["throughput"] == pytest.approx(36 / 3_600, rel=0.05)
    assert (total["wait"]["count"], total["wait"]["average"]) == ("36", "PT2S")
    assert total["run"]["average"] == "PT14.366667S"
    by_task = {group["task"]: group for group in report["groups"]}
    assert sorted(by_task) == ["changing", "failing", "slow"]
    slow = by_task["slow"]["run"]
    assert 38 <= float(slow["p50"][2:-1]) <= 42
    assert slow["p50"] == slow["p99"]
    assert by_task["failing"]["successRate"] == pytest.approx(2 / 3)
    assert (by_task["slow"]["cpu"], by_task["slow"]["cpuPerRun"]) == ("PT0S", None)
    found = {one["kind"]: one for one in reversed(report["bottlenecks"])}
    assert (found["SLOWEST"]["task"], found["MOST_FAILING"]["task"]) == ("slow", "failing")
    assert found["MOST_CHANGED"]["task"] == "changing"
    assert found["MOST_CHANGED"]["reason"] == ("Its attempts took 3.0 s on average, and 500 ms in the window before.")
    assert found["MOST_FAILING"]["reason"] == "33.3 % of its 12 attempts failed, and 4 of its jobs died."


@pytest.mark.usefixtures("past")
async def test_filters_and_both_groups(api: Caller) -> None:
    whole = (await api.data(REPORT, window="PT3H", queue="a"))["statistics"]
    assert (whole["total"]["queue"], whole["total"]["accepted"], whole["groups"]) == ("a", "36", [])
    both = (await api.data(REPORT, window="PT3H", groupBy="QUEUE_AND_TASK"))["statistics"]["groups"]
    assert [(one["queue"], one["task"], one["accepted"]) for one in both] == [
        ("a", "changing", "24"), ("a", "slow", "12"), ("b", "failing", "12")
    ]  # fmt: skip
    (changed, *_) = (await api.data(REPORT, window="PT1H", task="changing"))["statistics"]["bottlenecks"][::-1]
    assert (changed["kind"], changed["task"]) == ("MOST_CHANGED", "changing")
    for narrowed, tasks in (({"task": "slow"}, {"slow"}), ({"task": "no"}, set()), ({"queue": "b"}, {"failing"})):
        found = (await api.data(REPORT, window="PT1H", **narrowed))["statistics"]["bottlenecks"]
        assert {one["task"] for one in found} == tasks
    none = (await api.data(REPORT, window="PT3H", queue="none", groupBy="TASK"))["statistics"]
    assert (none["total"]["successRate"], none["total"]["run"]["p95"], none["groups"]) == (None, None, [])
    nested = await api.data('{ queue(name: "b") { statistics(window: "PT3H") { accepted task } } }')
    assert nested["queue"]["statistics"] == {"accepted": "12", "task": None}


@pytest.mark.usefixtures("past")
async def test_a_series(api: Caller) -> None:
    series = (await api.data(SERIES, step="MINUTE", window="PT30M"))["statisticsSeries"]
    (line,) = series["lines"]
    assert sum(int(point["accepted"]) for point in line["points"]) == 36
    assert all(moment(one["until"]) - moment(one["from"]) == timedelta(minutes=1) for one in line["points"])
    assert [one["from"] for one in line["points"]] == sorted(one["from"] for one in line["points"])
    by_queue = (await api.data(SERIES, step="HOUR", window="PT4H", groupBy="QUEUE"))["statisticsSeries"]
    assert by_queue["step"] == "HOUR"
    assert {line["queue"]: sum(int(point["completed"]) for point in line["points"]) for line in by_queue["lines"]} == {
        "a": 36,
        "b": 8,
    }


async def test_a_queue_at_a_past_moment(api: Caller, published: Any) -> None:
    began_ms = now_ms()
    spec = make_spec(queue="past")
    await published.store.accept.accept(spec)
    tale = Tale(spec)
    tale.at_ms = began_ms - 3_600_000
    tale.enqueued()
    tale.at_ms += 1_200_000
    tale.started()
    tale.at_ms += 1_200_000
    await Story(published.store).record(tale.completed())
    ask = 'query ($at: DateTime!) { queueAt(name: "past", at: $at) { at precision counts { queued active } } }'
    seen: list[tuple[int, int, str] | None] = []
    for ago_s in (3_700, 3_000, 1_800, 600):
        at = datetime.fromtimestamp(began_ms / 1000 - ago_s).astimezone()
        found = (await api.data(ask, at=at.isoformat()))["queueAt"]
        if found is None:
            seen.append(None)
            continue
        assert timedelta(0) <= at - moment(found["at"]) < timedelta(minutes=1)
        seen.append((found["counts"]["queued"], found["counts"]["active"], found["precision"]))
    assert seen == [None, (1, 0, "MINUTE"), (0, 1, "MINUTE"), (0, 0, "MINUTE")]
    for long_ago in ("1970-01-01T00:00:00Z", "2000-01-01T00:00:00Z"):
        assert (await api.data(ask, at=long_ago))["queueAt"] is None
    unknown = await api.data('{ queueAt(name: "no", at: "2026-01-01T00:00:00Z") { at } }')
    assert unknown["queueAt"] is None


async def test_who_waits_longest(api: Caller) -> None:
    await api.data('mutation { jobEnqueue(input: {task: "noop"}) { userErrors { message } } }')

    async def oldest(queue: str | None) -> str | None:
        wait: str | None = (await api.data(REPORT, queue=queue))["statistics"]["oldestWait"]
        return wait

    first = await eventually(lambda: oldest(None))
    assert first.startswith("PT")
    assert await oldest("another") is None
    assert await eventually(lambda: oldest("default")) != first


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"window": "PT1H", "range": {"from": "2026-01-01T00:00:00Z"}}, "not both"),
        ({"range": {"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, "before it ends"),
        ({"window": "PT0S"}, "before it ends"),
        ({"range": {"from": "1960-01-02T00:00:00Z"}}, "1970 or later"),
        ({"range": {"until": "9999-12-31T23:59:59.999Z"}}, "a year ahead"),
        ({"range": {"from": "9999-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999Z"}}, "a year ahead"),
        ({"window": "P3000D"}, "five years"),
    ],
)
async def test_windows_that_make_no_sense(api: Caller, variables: dict[str, Any], message: str) -> None:
    (error,) = await api.errors(REPORT, **variables)
    assert (message in error["message"], error["extensions"]["code"]) == (True, "INVALID_OPTION")


AT = '"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("statistics(queue: $name) { from }", "queue"),
        ("statisticsSeries(step: HOUR, queue: $name) { from }", "queue"),
        (f"queueAt(name: $name, at: {AT}) {{ at }}", "name"),
        (f'snapshotSeries(metric: QUEUE_WAITING, range: {{from: {AT}}}, step: "P30D", queue: $name) {{ at }}', "queue"),
        ("retentionPreview(policy: {kind: DEAD, queue: $name}) { kind }", "queue"),
    ],
)
async def test_a_name_that_no_queue_can_have_is_refused(api: Caller, field: str, argument: str) -> None:
    for name in ("", "a b", "a\0b", "a:b", "ü", "a" * 129):
        (error,) = await api.errors(f"query ($name: String!) {{ {field} }}", name=name)
        assert (error["extensions"]["code"], error["extensions"].get("argument")) == ("INVALID_OPTION", [argument])
        assert "is not a name of a queue: 1 to 128 of A-Z" in error["message"]


@pytest.mark.parametrize(
    "field", ["statistics(task: $name) { from }", "statisticsSeries(step: HOUR, task: $name) { from }"]
)
async def test_a_name_that_no_task_can_have_is_refused(api: Caller, field: str) -> None:
    for name in ("", "a\0b"):
        (error,) = await api.errors(f"query ($name: String!) {{ {field} }}", name=name)
        assert (error["extensions"]["code"], error["extensions"].get("argument")) == ("INVALID_OPTION", ["task"])
        assert error["message"].startswith("`task` ")
    assert await api.data(f"query ($name: String!) {{ {field} }}", name="a b of SAQ")


async def test_series_and_moments_have_bounds(api: Caller) -> None:
    (error,) = await api.errors(SERIES, step="MINUTE", window="P2D")
    assert "1,500 steps" in error["message"]
    (error,) = await api.errors('{ queueAt(name: "x", at: "2999-01-01T00:00:00Z") { at } }')
    assert "of the past" in error["message"]
