"""The whole system through the API: as it is, as it was, over time, and live."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.client import Client
from jobs.snapshot import (
    ErrorFigures,
    JobFigures,
    QueueFigures,
    QueueSection,
    RedisFigures,
    Snapshot,
    WorkerFigures,
)
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue
from tests.wait import until

BEGIN_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
FIGURES = """
fragment F on HealthFigures {
  at took faults { collector reason }
  queues { total { ...J } each { name jobs { ...J } } }
  workers { total active idle stuck slots running processedHour failedHour averageRun }
  database { dialect sizeBytes freeBytes walBytes connections poolSize queries slowQueries queriesMinute averageQuery }
  redis { isConnected version uptime memoryUsedBytes memoryMaxBytes hitRate keys connections operationsPerSecond
          evicted isAppendOnly isAppendOk policy }
  recorder { lagEvents lag streamEntries streamBytes isHolding }
  processes { total { count cpu memoryBytes loopLag }
              each { kind host pid version startedAt seenAt faults pool { size } } }
  notifications { total } errors { count deadHour notificationsFailedHour }
}
fragment J on JobFigures { waiting delayed active blocked completed failed cancelled dead }
"""


async def take(client: Client, hour: int, waiting: int, **sections: Any) -> None:
    at_ms = BEGIN_MS + hour * HOUR_MS
    queues = QueueSection(
        total=JobFigures(waiting=waiting, completed=2**40),
        each=(QueueFigures(name="a", waiting=waiting),),
    )
    assert await client.store.snapshots.add(Snapshot(at_ms=at_ms, took_ms=7, queues=queues, **sections), at_ms)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.feed.health.HealthStates.pause_s", 0.05)
    monkeypatch.setattr("jobs.feed.health.SnapshotStates.pause_s", 0.05)
    monkeypatch.setattr("jobs.recent.KEPT_S", 0.0)


async def test_the_figures_of_now_are_collected(reader: Caller) -> None:
    found = (await reader.data(f"{{systemHealth {{ ...F }}}} {FIGURES}"))["systemHealth"]
    assert found["faults"] == []
    assert found["queues"]["total"]["waiting"] == 0
    assert found["workers"]["total"] == 0
    assert found["database"]["dialect"] == "sqlite"
    assert int(found["database"]["sizeBytes"]) > 100_000
    assert found["redis"]["isConnected"]
    assert found["recorder"]["lagEvents"] == 0
    assert found["notifications"] is None
    assert found["errors"] == {"count": 0, "deadHour": 0, "notificationsFailedHour": None}


async def test_a_snapshot_is_found_by_its_moment_and_by_its_id(reader: Caller, client: Client) -> None:
    document = f"query ($at: DateTime) {{ snapshot(at: $at) {{ id ...F }} }} {FIGURES}"
    assert (await reader.data(document))["snapshot"] is None
    await take(
        client,
        1,
        5,
        workers=WorkerFigures(total=1, active=0, idle=1, stuck=0, slots=10, running=0, average_run_ms=1_500.0),
        redis=RedisFigures(connected=False),
        errors=ErrorFigures(dead_hour=3),
        faults={"redis": "It was away."},
    )
    await take(client, 2, 6)
    found = (await reader.data(document, at="2027-01-15T09:59:59Z"))["snapshot"]
    assert found["at"] == "2027-01-15T09:00:00.000Z"
    assert found["took"] == "PT0.007S"
    assert found["faults"] == [{"collector": "redis", "reason": "It was away."}]
    assert found["queues"]["total"]["completed"] == str(2**40)
    assert found["queues"]["each"][0]["jobs"]["completed"] is None
    assert found["workers"]["averageRun"] == "PT1.5S"
    assert (found["redis"]["isConnected"], found["redis"]["keys"]) == (False, None)
    assert found["database"] is None
    node = f"query ($id: ID!) {{ node(id: $id) {{ __typename id ... on HealthSnapshot {{ ...F }} }} }} {FIGURES}"
    assert (await reader.data(node, id=found["id"]))["node"] == {"__typename": "HealthSnapshot", **found}
    assert (await reader.data(document, at="2027-01-15T08:59:59Z"))["snapshot"] is None


async def test_snapshots_are_listed_from_the_newest_back(reader: Caller, client: Client) -> None:
    for hour in range(5):
        await take(client, hour, hour)
    document = """query ($after: Cursor) { snapshots(first: 2, after: $after) {
        nodes { queues { total { waiting } } } edges { cursor } pageInfo { hasNextPage endCursor } } }"""
    seen, after = [], None
    while True:
        page = (await reader.data(document, after=after))["snapshots"]
        seen += [node["queues"]["total"]["waiting"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == [4, 3, 2, 1, 0]


async def test_two_snapshots_are_compared(reader: Caller, client: Client) -> None:
    await take(client, 1, 5)
    await take(client, 2, 2, errors=ErrorFigures(dead_hour=3))
    nodes = (await reader.data("{snapshots{nodes{id}}}"))["snapshots"]["nodes"]
    document = """query ($a: ID!, $b: ID!) { snapshotCompare(before: $a, after: $b) {
        before { id } after { id } differences { metric queue before after change } } }"""
    found = (await reader.data(document, a=nodes[1]["id"], b=nodes[0]["id"]))["snapshotCompare"]
    assert (found["before"], found["after"]) == (nodes[1], nodes[0])
    kept = [one for one in found["differences"] if one["metric"] in ("QUEUE_WAITING", "ERROR_DEAD_HOUR")]
    assert kept == [
        {"metric": "QUEUE_WAITING", "queue": None, "before": 5, "after": 2, "change": -3},
        {"metric": "ERROR_DEAD_HOUR", "queue": None, "before": None, "after": 3, "change": None},
        {"metric": "QUEUE_WAITING", "queue": "a", "before": 5, "after": 2, "change": -3},
    ]
    (error,) = await reader.errors(document, a="nonsense", b=nodes[0]["id"])
    assert error["message"] == "`before` is not the id of a snapshot."


async def test_a_figure_is_followed_over_time(reader: Caller, client: Client) -> None:
    for hour in range(4):
        await take(client, hour, 10 * hour)
    document = """query ($step: Duration!, $range: TimeRange!, $queue: String, $metric: HealthMetric!) {
        snapshotSeries(metric: $metric, range: $range, step: $step, queue: $queue) { at count average least most } }"""
    range_ = {"from": "2027-01-15T08:00:00Z", "until": "2027-01-15T20:00:00Z"}
    asked: dict[str, Any] = {"metric": "QUEUE_WAITING", "range": range_, "step": "PT2H"}
    series = (await reader.data(document, **asked))["snapshotSeries"]
    assert series == [
        {"at": "2027-01-15T08:00:00.000Z", "count": 2, "average": 5, "least": 0, "most": 10},
        {"at": "2027-01-15T10:00:00.000Z", "count": 2, "average": 25, "least": 20, "most": 30},
    ]
    assert (await reader.data(document, **asked, queue="a"))["snapshotSeries"] == series
    assert (await reader.data(document, **asked, queue="b"))["snapshotSeries"] == []
    for wrong, words in (
        ({"step": "PT0.5S"}, "a second or more"),
        ({"step": "PT43S"}, "more than 1,000 steps"),
        ({"range": {"until": range_["until"]}}, "`range.from` must be given"),
        ({"range": {"from": range_["until"], "until": range_["from"]}}, "begin before it ends"),
        ({"range": {"from": range_["from"], "until": range_["from"]}}, "begin before it ends"),
        ({"metric": "REDIS_KEYS", "queue": "a"}, "leave `queue` out"),
    ):
        (error,) = await reader.errors(document, **(asked | wrong))
        assert error["extensions"]["code"] == "INVALID_OPTION"
        assert words in error["message"]


async def test_who_watches_sees_the_figures_change(api: Caller) -> None:
    document = "subscription { systemHealth { at queues { total { waiting } } } }"
    async with api.events(document) as events:
        _, first = await events.next()
        assert first["data"]["systemHealth"]["queues"]["total"]["waiting"] == 0
        await enqueue(api, "a")
        for _ in range(100):
            _, later = await events.next()
            if later["data"]["systemHealth"]["queues"]["total"]["waiting"] == 1:
                break
        assert later["data"]["systemHealth"]["at"] > first["data"]["systemHealth"]["at"]


async def test_who_watches_sees_each_snapshot_that_is_taken(reader: Caller, client: Client) -> None:
    await take(client, 1, 1)
    async with reader.events("subscription { snapshotTaken { id at queues { total { waiting } } } }") as events:
        for number in (1, 2, 3):
            _, found = await events.next()
            assert found["data"]["snapshotTaken"]["queues"]["total"]["waiting"] == number
            await take(client, number + 1, number + 1)


async def test_who_watches_waits_for_the_first_snapshot(reader: Caller, client: Client) -> None:
    async with reader.events("subscription { snapshotTaken { queues { total { waiting } } } }") as events:
        await until(lambda: client.feed.followed == 1)
        before = client.store.figures().since_start.count
        await until(lambda: client.store.figures().since_start.count > before + 2)  # it has looked, and found none
        await take(client, 1, 7)
        _, found = await events.next()
        assert found["data"]["snapshotTaken"]["queues"]["total"]["waiting"] == 7


async def test_without_a_token_nothing_is_told(anonymous: Caller) -> None:
    answer = await anonymous.post("{systemHealth{at}}")
    assert answer.status == 401
