"""Retention of records that are not jobs: the oldest go, and what is young is not even read."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.retention import CLOCKS_APART_MAX_S, DAY_S, HOUR_S, SHIPPED, Kind, Policy
from jobs.store import Store
from tests.factories import make_spec
from tests.jobs.store.past import GRACE_MS, NOW_MS, Past, ago, rows, run
from tests.jobs.store.story import Story, Tale


async def _insert(store: Store, sql: str, values: list[tuple[Any, ...]]) -> None:
    async with store._database.transaction() as transaction:
        for one in values:
            await transaction.execute(sql, one)


async def _ages(store: Store, table: str, column: str) -> list[int]:
    found = await store._database.fetch(f"SELECT {column} AS at_ms FROM {table} ORDER BY 1")  # noqa: S608  # names of ours
    return [round((NOW_MS - row["at_ms"]) / 1000) for row in found]


async def test_log_lines_and_attempts_of_jobs_that_stay_go_by_age(store: Store, past: Past, story: Story) -> None:
    await past.ended(ago(5 * DAY_S), ago(4 * DAY_S), ago(HOUR_S), lines=4)
    running = make_spec()
    await store.accept.accept(running)
    tale = Tale(running)
    tale.at_ms = ago(6 * DAY_S)
    await story.record(tale.enqueued().started())
    log, attempt = Policy(kind=Kind.LOG, keep_s=DAY_S), Policy(kind=Kind.ATTEMPT, keep_s=DAY_S)
    previews = [await store.retention.preview(one, now_ms=NOW_MS, grace_ms=GRACE_MS) for one in (log, attempt)]
    assert [(one.value, one.whole) for one in previews] == [(8, True), (2, True)]
    assert (await run(store, log), await run(store, attempt)) == (8, 2)
    assert await rows(store) == {"job": 4, "job_tag": 0, "job_key": 0, "attempt": 2, "log_line": 4}
    (open_attempt,) = (await store.search.attempts([running.id]))[running.id]
    assert open_attempt.finished_ms is None


async def test_what_is_young_is_not_even_read(store: Store, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.store.shelf.SLICE", 10)
    await past.ended(ago(5 * DAY_S), ago(HOUR_S), lines=35)
    read = []
    fetch = store._database.fetch

    async def listen(sql: str, values: Any = ()) -> Any:
        found = await fetch(sql, values)
        read.append(len(found))
        return found

    monkeypatch.setattr(store._database, "fetch", listen)
    assert await run(store, Policy(kind=Kind.LOG, keep_s=DAY_S)) == 35
    assert read == [10] * 4


async def test_snapshots_statistics_and_quarantine_go_by_age(store: Store) -> None:
    ages = [30 * DAY_S, 20 * DAY_S, 2 * HOUR_S, 60]
    snapshot = "INSERT INTO system_health_snapshots (slot_ms, at_ms, took_ms) VALUES ($1, $1, 5)"
    await _insert(store, snapshot, [(ago(one),) for one in ages])
    rollup = "INSERT INTO rollup (span_s, at_ms, queue, task) VALUES ($1, $2, 'q', 't')"
    await _insert(store, rollup, [(span_s, ago(one)) for one in ages for span_s in (60, 3_600, 86_400)])
    broken = "INSERT INTO quarantine (at_ms, source, ref, reason, record, digest) VALUES ($1, 'EVENT', '', '', '', $2)"
    await _insert(store, broken, [(ago(one), str(one)) for one in ages])
    for kind, keep_s in ((Kind.SNAPSHOT, 25 * DAY_S), (Kind.QUARANTINE, HOUR_S), (Kind.ROLLUP_MINUTE, DAY_S)):
        policy = Policy(kind=kind, keep_s=keep_s)
        preview = await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)
        assert preview.value == await run(store, policy) == sum(one > keep_s for one in ages)
    assert await _ages(store, "system_health_snapshots", "at_ms") == ages[1:]
    assert await _ages(store, "quarantine", "at_ms") == [60]
    assert await run(store, Policy(kind=Kind.ROLLUP_HOUR, keep_s=25 * DAY_S)) == 1
    found = await store._database.fetch("SELECT span_s, count(*) AS n FROM rollup GROUP BY span_s ORDER BY span_s")
    assert [(row["span_s"], row["n"]) for row in found] == [(60, 2), (3_600, 3), (86_400, 4)]


async def test_statistics_go_by_whole_hours_and_days(store: Store) -> None:
    day_ms = NOW_MS - NOW_MS % (DAY_S * 1000)
    rollup = "INSERT INTO rollup (span_s, at_ms, queue, task) VALUES ($1, $2, 'q', 't')"
    minutes = [(60, day_ms + one * 60_000) for one in (58, 59, 60, 61, 119)]
    hours = [(3_600, day_ms + one * HOUR_S * 1000) for one in (-2, -1, 0, 1)]
    await _insert(store, rollup, minutes + hours)
    # What a recorder that is behind may still count on is left for an hour, or a day.
    at_ms = day_ms + 90 * 60_000 + DAY_S * 1000
    minute, hour = Policy(kind=Kind.ROLLUP_MINUTE, keep_s=DAY_S), Policy(kind=Kind.ROLLUP_HOUR, keep_s=DAY_S)
    assert await run(store, minute, now_ms=at_ms) == 0
    assert await run(store, minute, now_ms=at_ms + HOUR_S * 1000) == 2
    assert await run(store, hour, now_ms=at_ms) == 0
    assert await run(store, hour, now_ms=at_ms + DAY_S * 1000) == 2


async def test_keys_access_and_slow_statements_go_once_nobody_needs_them(store: Store) -> None:
    key = "INSERT INTO job_key (hash, kind, scope, job_id, expires_ms) VALUES ($1, 'idempotency', '', '', $2)"
    spare_s = CLOCKS_APART_MAX_S  # Redis, whose time it is here, may be ahead of who accepts jobs
    await _insert(store, key, [("a", ago(spare_s + 1)), ("b", ago(spare_s - 1)), ("c", None)])
    token = (
        "INSERT INTO token (id, kind, name, role, secret_sha256, created_ms, expires_ms, revoked_ms)"
        " VALUES ($1, 'API', '', 'ADMIN', $1, 0, $2, $3)"
    )
    old, young = ago(40 * DAY_S), ago(DAY_S)
    times = {
        "ever": (None, None),
        "expired": (old, None),
        "revoked": (None, old),
        "both": (young, old),
        "new": (young, young),
    }
    await _insert(store, token, [(name, *both) for name, both in times.items()])
    slow = (
        "INSERT INTO slow_query (fingerprint, sql, count, total_ms, worst_ms, worst_at_ms, last_at_ms, process)"
        " VALUES ($1, '', 1, 1, 1, 1, $2, '')"
    )
    await _insert(store, slow, [("x", old), ("y", young)])
    assert await run(store, SHIPPED[Kind.KEY]) == 1
    assert await run(store, SHIPPED[Kind.TOKEN]) == 3
    assert await run(store, SHIPPED[Kind.SLOW_QUERY]) == 1
    assert [row["hash"] for row in await store._database.fetch("SELECT hash FROM job_key ORDER BY 1")] == ["b", "c"]
    assert [row["id"] for row in await store._database.fetch("SELECT id FROM token ORDER BY 1")] == ["ever", "new"]
    assert [row["fingerprint"] for row in await store._database.fetch("SELECT fingerprint FROM slow_query")] == ["y"]


_LINE = "INSERT INTO log_line (job_id, run, attempt, at_ms, level, message) VALUES ('j', 1, 1, $1, 20, '')"
_ATTEMPT = (
    "INSERT INTO attempt (job_id, run, number, state, worker, started_ms, finished_ms)"
    " VALUES ($1, 1, 1, 'FAILED', '', $2, $2)"
)
_BROKEN = "INSERT INTO quarantine (at_ms, source, ref, reason, record, digest) VALUES ($2, 'EVENT', '', '', '', $1)"


async def test_what_a_clock_that_was_ahead_has_written_hides_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.shelf.SLICE", 10)
    times = [ago(5 * DAY_S)] * 5 + [ago(-400 * DAY_S)] * 25 + [ago(4 * DAY_S)] * 15 + [ago(HOUR_S)] * 20
    await _insert(store, _LINE, [(at_ms,) for at_ms in times])
    for sql in (_ATTEMPT, _BROKEN):
        await _insert(store, sql, [(str(number), at_ms) for number, at_ms in enumerate(times)])
    for kind in (Kind.LOG, Kind.ATTEMPT, Kind.QUARANTINE):
        policy = Policy(kind=kind, keep_s=DAY_S)
        assert (await store.retention.preview(policy, now_ms=NOW_MS, grace_ms=GRACE_MS)).value == 20
        assert await run(store, policy) == 20


async def test_a_long_shelf_of_which_nothing_goes_is_looked_through_step_by_step(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.shelf.SLICE", 2)
    key = "INSERT INTO job_key (hash, kind, scope, job_id, expires_ms) VALUES ($1, 'unique', '', '', NULL)"
    await _insert(store, key, [(str(number),) for number in range(7)])
    looks = [one async for one in store.retention.run(SHIPPED[Kind.KEY], now_ms=NOW_MS, grace_ms=GRACE_MS)]
    assert looks == [0, 0, 0]
