"""What the metrics say of queues, workers, operations, jobs and backups."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio

from api.metrics.figures import show_snapshot
from api.metrics.jobs import show_jobs
from api.metrics.sheet import Sheet
from api.metrics.system import show_queues, show_workers
from jobs.broker import Vitals, keys
from jobs.broker.process import Processes
from jobs.client import Client
from jobs.clock import now_ms
from jobs.fleet import SILENT_MS, Roll
from jobs.histogram import Histogram
from jobs.job import State
from jobs.line import Queue
from jobs.queries import Each
from jobs.queue_health import QueueFacts, judge
from jobs.rollup import Figures
from jobs.roster import Worker, WorkerState, WorkerWish
from jobs.section import process_section, with_workers
from jobs.snapshot import (
    QUEUES_MAX,
    BackupFigures,
    ProcessFigures,
    ProcessKind,
    ProcessSection,
    ProcessTotal,
    Snapshot,
)
from jobs.store import Backup
from jobs.store.totals import STALE_MS
from tests.api.caller import Caller
from tests.api.scraping import Samples, scrape, value
from tests.factories import make_worker_info
from tests.jobs.hand import Hand
from tests.wait import eventually, until

pytestmark = pytest.mark.usefixtures("nothing_is_kept")


@pytest.fixture(autouse=True)
def _an_unserved_queue_is_ill_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.queue_health.UNSERVED_S", -1.0)


async def test_queues_workers_and_components(api: Caller, client: Client) -> None:
    await api.data("mutation {noopEnqueue {job {id}}}")
    session = await client.broker.open_session(make_worker_info())
    await asyncio.to_thread(session.renew, Vitals(concurrency=7, queues=("default",)))
    samples = await scrape(api)
    assert value(samples, "queue_length", queue="default", state="queued") == 1
    assert value(samples, "queue_length", queue="default", state="retrying") == 0
    assert value(samples, "queue_workers", queue="default") == 1
    assert value(samples, "queue_healthy", queue="default") == 1
    assert (value(samples, "queue_oldest_wait_seconds", queue="default") or 0) > 0
    assert value(samples, "worker_slots", hostname="test", pid="1") == 7
    assert value(samples, "workers") == 1
    assert value(samples, "up", component="store") == 1
    await session.close()
    samples = await scrape(api)
    assert value(samples, "worker_slots", hostname="test", pid="1") is None  # it is gone, and so is its series
    assert (value(samples, "queue_workers", queue="default"), value(samples, "queue_healthy", queue="default")) == (
        0,
        0,
    )


async def test_a_queue_without_jobs_workers_and_recent_events_is_left_out(
    api: Caller, client: Client, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("queue_length", "queue_workers", "queue_healthy", "queue_dead_letters", "task_sent_total")

    def queues(samples: Samples) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {name: set() for name in names}
        for name, labels in samples:
            if (short := name.removeprefix("queueql_")) in found:
                found[short].add(dict(labels)["queue"])
        return found

    await api.data("mutation {noopEnqueue {job {id}}}")
    await api.data('mutation {sendMailEnqueue(input: {args: {to: "a"}}) {job {id}}}')
    await hand.complete()
    await hand.record()
    await hand.close()
    await scrape(api)
    assert queues(await scrape(api)) == {name: {"default", "email"} for name in names}
    monkeypatch.setattr(client.store.totals, "_clock", lambda: now_ms() + STALE_MS + 86_400_000)
    await scrape(api)
    samples = await scrape(api)
    assert queues(samples) == {name: {"email"} if name in names[:3] else set() for name in names}
    assert (value(samples, "queues_left_out"), value(samples, "tasks_left_out")) == (0, 0)


def test_of_too_many_queues_those_that_are_well_give_way() -> None:
    counts = dict.fromkeys((State.QUEUED, State.ACTIVE), 1)
    names = [f"q{number:04}" for number in range(QUEUES_MAX + 2)]
    roll = Roll(0, [], [], [Queue(name=name, counts=counts) for name in names], {}, None)
    facts = [QueueFacts(name=name, waiting=1, active=1, workers=int(name != names[-1])) for name in names]
    sheet = Sheet()
    show_queues(sheet, roll, [judge(one, wait_max_s=300) for one in facts], None)
    shown = {family.name: [sample.labels.get("queue") for sample in family.samples] for family in sheet.families()}
    assert shown["queueql_queue_healthy"] == [names[-1], *names[: QUEUES_MAX - 1]]
    assert len(shown["queueql_queue_length"]) == 2 * QUEUES_MAX
    (left_out,) = (family.samples[0].value for family in sheet.families() if family.name == "queueql_queues_left_out")
    assert left_out == 2


async def test_operations_by_kind_and_outcome(api: Caller, reader: Caller) -> None:
    await api.data("{viewer {role}}")
    await api.data("mutation {noopEnqueue {job {id}}}")
    await api.errors("{nope}")
    await reader.post("{quarantine {nodes {ref}}}")
    async with api.socket() as live, api.events("subscription {jobEvents {endCursor}}") as events:
        await live.subscribe("1", "subscription {jobEvents {endCursor}}")
        await api.data("mutation {noopEnqueue {job {id}}}")
        await live.next("1")
        await events.next()
        samples = await scrape(api)
        assert value(samples, "subscriptions_open", transport="websocket") == 1
        assert value(samples, "subscriptions_open", transport="sse") == 1
        await live.subscribe("2", "subscription {logLines(jobId: 3) {endCursor}}")
    counted = {
        (kind, outcome): value(samples, "api_operations_total", kind=kind, outcome=outcome)
        for kind, outcome in (("query", "ok"), ("query", "error"), ("mutation", "ok"), ("unknown", "rejected"))
    }
    assert counted == {("query", "ok"): 1, ("query", "error"): 1, ("mutation", "ok"): 2, ("unknown", "rejected"): 1}

    async def closed() -> bool:
        return value(await scrape(api), "subscriptions_open", transport="sse") == 0

    await eventually(closed)
    samples = await scrape(api)
    assert value(samples, "subscriptions_open", transport="websocket") == 0
    assert value(samples, "api_operations_total", kind="subscription", outcome="ok") == 2
    assert value(samples, "api_operation_seconds_count", kind="mutation") == 2
    assert value(samples, "api_operation_seconds_bucket", kind="mutation", le="+Inf") == 2


async def test_what_happened_to_the_jobs(api: Caller, client: Client, hand: Hand) -> None:
    for _ in range(3):
        await api.data("mutation {noopEnqueue {job {id}}}")
    await until(lambda: not client.pusher.waiting)
    await hand.complete()
    await hand.kill()
    await hand.record()
    samples = await scrape(api)
    labels = {"task": "noop", "queue": "default"}
    counted = {
        name: value(samples, f"task_{name}_total", **labels) for name in ("sent", "started", "succeeded", "dead")
    }
    assert counted == {"sent": 3, "started": 2, "succeeded": 1, "dead": 1}
    assert value(samples, "task_runtime_seconds_count", **labels) == 2
    assert value(samples, "task_wait_seconds_count", **labels) == 2
    bounds = [
        (float(dict(found)["le"]), number)
        for (name, found), number in samples.items()
        if name == "queueql_task_wait_seconds_bucket"
    ]
    assert [number for _, number in sorted(bounds)] == sorted(number for _, number in bounds)
    assert value(samples, "queue_dead_letters", queue="default") == 1


def test_the_bounds_of_a_histogram_are_where_its_buckets_end() -> None:
    histogram = Histogram.of([0, 1, 2, 3, 5, 6, 10, 11, 25, 26, 4_195_943, 4_195_944])
    sheet = Sheet()
    show_jobs(sheet, Each({("q", "t"): Figures(runs=histogram)}, 0))
    found = {
        sample.labels["le"]: sample.value
        for family in sheet.families()
        for sample in family.samples
        if sample.name == "queueql_task_runtime_seconds_bucket"
    }
    assert [found[bound] for bound in ("0.002", "0.005", "0.01", "0.025", "4195.943", "+Inf")] == [3, 5, 7, 9, 11, 12]


async def test_stuck_jobs_are_counted_by_reason(api: Caller, client: Client, redis_client: redis.asyncio.Redis) -> None:
    samples = await scrape(api)
    reasons = ("worker_lost", "overdue", "never_queued")
    assert [value(samples, "jobs_stuck", reason=reason) for reason in reasons] == [0, 0, 0]
    now = await client.broker.now_ms()
    await redis_client.zadd(keys.DUE, {"some": now - 5_000, "soon": now + 5_000})
    await redis_client.zadd(keys.LEASES, {"gone": now - 5_000, "there": now + 5_000})
    await redis_client.sadd(keys.held("gone"), "a", "b")
    samples = await scrape(api)
    assert [value(samples, "jobs_stuck", reason=reason) for reason in reasons] == [2, 1, 0]


async def test_scheduled_backups_are_seen_before_there_is_one(api: Caller, client: Client) -> None:
    def process(pid: int, backups: BackupFigures | None) -> ProcessFigures:
        return ProcessFigures(
            kind=ProcessKind.SERVICES, host="test", pid=pid, version="0", started_ms=0, seen_ms=0, backups=backups
        )

    names = ("backup_every_seconds", "backup_failing")
    assert [value(await scrape(api), name) for name in names] == [None, None]
    processes = Processes(client.broker)
    await processes.say("none", process(1, None), for_s=60)
    await processes.say("idle", process(2, BackupFigures(every_s=60, failing=False)), for_s=60)
    assert [value(await scrape(api), name) for name in names] == [60, 0]
    await processes.say("leader", process(3, BackupFigures(every_s=60, failing=True)), for_s=60)
    assert [value(await scrape(api), name) for name in names] == [60, 1]


def test_what_is_lost_is_shown_as_down() -> None:
    def process(kind: ProcessKind, pid: int) -> ProcessFigures:
        return ProcessFigures(kind=kind, host="h", pid=pid, version="0", started_ms=0, seen_ms=0)

    lost = [process(ProcessKind.SERVICES, 1), process(ProcessKind.WORKER, 2)]
    there = (*lost[:1], process(ProcessKind.SERVICES, 3))  # what it said last holds for a moment longer
    total = ProcessTotal(count=2, cpu=None, memory_bytes=None, loop_lag_ms=None)
    sheet = Sheet()
    roll = Roll(0, [], [], [], {}, None, lost=lost)
    snapshot = Snapshot(at_ms=0, took_ms=0, processes=ProcessSection(total=total, each=there))
    show_snapshot(sheet, snapshot, roll)
    show_workers(sheet, roll)
    shown = {
        (sample.name, *sample.labels.values()): sample.value for family in sheet.families() for sample in family.samples
    }
    assert shown == {
        ("queueql_process_up", "services", "h", "1"): 0,
        ("queueql_process_up", "worker", "h", "2"): 0,
        ("queueql_process_up", "services", "h", "3"): 1,
        ("queueql_worker_up", "h", "2"): 0,
        ("queueql_workers",): 0,
    }


def test_a_worker_that_does_not_answer_is_down_by_whatever_name() -> None:
    def worker(pid: int, seen_ms: int) -> Worker:
        return Worker(
            id=f"{pid} {seen_ms}",
            host="h",
            pid=pid,
            version="0",
            tasks=(),
            state=WorkerState.RUNNING,
            queues=(),
            concurrency=1,
            active=0,
            running=(),
            finished=None,
            failed=None,
            cpu=0.5,
            memory_bytes=None,
            loop_lag_ms=None,
            blocked_by=None,
            fetched_ms=None,
            still_ms=0,
            started_ms=0,
            seen_ms=seen_ms,
            wish=WorkerWish(),
        )

    workers = [worker(1, 100_000), worker(2, 100_000 - SILENT_MS - 1), worker(3, 0), worker(3, 100_000)]
    roll, sheet = Roll(100_000, workers, [], [], {}, None), Sheet()
    processes = process_section(with_workers([], workers))
    show_snapshot(sheet, Snapshot(at_ms=0, took_ms=0, processes=processes), roll)
    show_workers(sheet, roll)
    samples = [sample for family in sheet.families() for sample in family.samples]
    for name in ("queueql_worker_up", "queueql_process_up"):
        up = {sample.labels["pid"]: sample.value for sample in samples if sample.name == name}
        assert up == {"1": 1, "2": 0, "3": 1}
    assert [sample.value for sample in samples if sample.name == "queueql_process_cpu_cores"] == [0.5] * 2


async def test_backups(api: Caller, client: Client) -> None:
    assert value(await scrape(api), "backup_bytes") is None
    kept = Backup(id="old", path="/old", size_bytes=5, created_ms=1_000, counts={}, verified_ms=2_000)
    await client.store.backups.note(kept)
    await client.store.backups.note(Backup(id="new", path="/new", size_bytes=7, created_ms=3_000, counts={}))
    samples = await scrape(api)
    names = ("backup_bytes", "backup_created_timestamp_seconds", "backup_verified_timestamp_seconds", "backup_verified")
    assert [value(samples, name) for name in names] == [7, 3, 2, 1]
    broken = Backup(id="bad", path="/bad", size_bytes=8, created_ms=4_000, counts={}, fault="It is damaged.")
    await client.store.backups.note(broken)
    assert [value(await scrape(api), name) for name in names] == [8, 4, 2, 0]
