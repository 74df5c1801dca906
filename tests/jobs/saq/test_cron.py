"""Cron jobs: each tick runs once, whoever plans it, whatever its clock says, also when clocks are changed."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis.asyncio
import saq
import saq.worker
from saq.job import Status

from jobs.broker import Broker, keys
from jobs.saq import Queue, Worker
from jobs.saq.cron import next_tick
from tests.factories import make_settings
from tests.jobs.saq.conftest import WORKERS
from tests.jobs.saq.steps import NewQueue, forget

BERLIN = ZoneInfo("Europe/Berlin")
UTC = datetime.UTC
AUTUMN = datetime.datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
SPRING = datetime.datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
ONE_LEASE = make_settings(lease_s=10_000_000)


async def tidy(_: Any) -> None:
    """Do nothing."""


class Clocks:
    """That of Redis, and those of the workers, which may be behind: wrong, or told late what Redis says."""

    def __init__(self, client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        self.behind_s = 0.0
        self.now = SPRING
        self._client = client
        clocks = self

        class Worlds(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Any:
                return (clocks.now - datetime.timedelta(seconds=clocks.behind_s)).astimezone(tz)

        monkeypatch.setattr(saq.worker, "datetime", Worlds)

        async def now_ms(_: Broker) -> int:
            return round((clocks.now.timestamp() - clocks.behind_s) * 1000)

        monkeypatch.setattr(Broker, "now_ms", now_ms)

    async def set(self, now: datetime.datetime) -> None:
        seconds, microseconds = await self._client.time()
        await self._client.set(keys.CLOCK, round(now.timestamp() * 1000) - seconds * 1000 - microseconds // 1000)
        self.now = now

    async def turn(self, worker: saq.worker.Worker[Any], behind_s: float = 0.0) -> None:
        """Let a worker plan what comes next by its clock."""
        self.behind_s = behind_s
        await worker.schedule()


@pytest.fixture
def queue(new_queue: NewQueue) -> Queue:
    return new_queue(settings=ONE_LEASE)


@pytest.fixture
async def clocks(redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks(redis_client, monkeypatch)
    await clocks.set(SPRING - datetime.timedelta(days=3))  # before anything begins
    return clocks


async def run_all(queue: Queue) -> list[datetime.datetime]:
    """Run what is due, and let its history be recorded; return the ticks."""
    ran: list[datetime.datetime] = []
    await queue.schedule()
    while await queue.count("queued"):
        job = await queue.dequeue(timeout=5)
        assert job is not None
        await job.update(status=Status.ACTIVE)
        await job.finish(Status.COMPLETE)
        ran.append(datetime.datetime.fromtimestamp(job.scheduled, UTC))
        await forget(queue)
    return ran


@pytest.mark.parametrize("make", WORKERS, ids=["SAQ's worker", "our worker"])
@pytest.mark.parametrize("ttl", [600, -1])
async def test_two_schedulers_one_of_them_behind_run_each_tick_once(
    make: Any, ttl: int, queue: Queue, new_queue: NewQueue, clocks: Clocks
) -> None:
    began, ran = AUTUMN + datetime.timedelta(hours=5), list[datetime.datetime]()
    await clocks.set(began)
    cron = saq.CronJob(tidy, cron="* * * * * */5", ttl=ttl)
    workers = [make(each, [], cron_jobs=[cron]) for each in (queue, new_queue(settings=ONE_LEASE))]
    for half_seconds in range(1, 143):
        await clocks.set(began + datetime.timedelta(seconds=half_seconds / 2))
        for worker, behind_s in zip(workers, (0.0, 2.0), strict=True):
            await clocks.turn(worker, behind_s)
            ran += await run_all(queue)
    assert ran == [began + datetime.timedelta(seconds=5 * number) for number in range(1, 15)]


@pytest.mark.parametrize("unique", [True, False])
async def test_a_slow_call_of_a_scheduler_does_not_repeat_a_tick(unique: bool, queue: Queue, clocks: Clocks) -> None:
    """It asked for the time before the tick, and comes with it when that has run."""
    await clocks.set(AUTUMN - datetime.timedelta(seconds=1))
    broker = await queue.broker()
    slow: Worker[Any] = Worker(queue, [], cron_jobs=[saq.CronJob(tidy, cron="0 * * * *", unique=unique, ttl=-1)])
    await clocks.turn(slow)
    await clocks.set(AUTUMN + datetime.timedelta(seconds=1))
    assert await run_all(queue) == [AUTUMN]
    await broker.client.delete(*[key async for key in broker.client.scan_iter(f"{keys.PREFIX}:done:*")])  # in 20 s
    await clocks.turn(slow, behind_s=2.0)
    assert await run_all(queue) == []
    await clocks.turn(slow)
    await clocks.set(AUTUMN + datetime.timedelta(hours=1))
    assert await run_all(queue) == [AUTUMN + datetime.timedelta(hours=1)]


async def test_a_tick_whose_push_never_came_is_enqueued_by_the_next_turn(queue: Queue, clocks: Clocks) -> None:
    await clocks.set(AUTUMN - datetime.timedelta(hours=1))
    broker = await queue.broker()
    tick = round(AUTUMN.timestamp() * 1000)
    assert (await broker.call("claim", [("default:cron:tidy", "lost", tick, True)]))[1] == ["lost"]
    # On its way: the next tick does not take the place of this one, and whoever comes with the same one is the same.
    assert (await broker.call("claim", [("default:cron:tidy", "next", tick + 5_000, True)]))[1] == [""]
    assert (await broker.call("claim", [("default:cron:tidy", "same", tick, True)]))[1] == ["lost"]
    await clocks.set(AUTUMN - datetime.timedelta(minutes=30))
    worker: Worker[Any] = Worker(queue, [], cron_jobs=[saq.CronJob(tidy, cron="0 * * * *")])
    await clocks.turn(worker)
    await clocks.set(AUTUMN)
    assert await run_all(queue) == [AUTUMN]


@pytest.mark.parametrize("by", ["SAQ", "QueueQL"])
async def test_a_cron_job_that_is_cancelled_while_it_waits_comes_with_its_next_tick(
    by: str, queue: Queue, clocks: Clocks
) -> None:
    await clocks.set(AUTUMN - datetime.timedelta(minutes=30))
    worker: Worker[Any] = Worker(queue, [], cron_jobs=[saq.CronJob(tidy, cron="0 * * * *")])
    await clocks.turn(worker)
    job = await queue.job("cron:tidy")
    assert job is not None
    if by == "SAQ":
        await job.abort("not this time")
    else:
        await (await queue.broker()).cancel((await (await queue.broker()).ids())[1])
    await clocks.turn(worker)
    await clocks.set(AUTUMN)
    assert await run_all(queue) == []
    await clocks.turn(worker)
    await clocks.set(AUTUMN + datetime.timedelta(hours=1))
    assert await run_all(queue) == [AUTUMN + datetime.timedelta(hours=1)]


async def test_runs_of_a_cron_job_that_is_not_unique_may_overlap(queue: Queue, clocks: Clocks) -> None:
    """Each of its ticks has one job, and so has each of its siblings with other arguments."""
    crons = [saq.CronJob(tidy, cron="0 * * * *", unique=False, kwargs={"shop": shop}) for shop in (1, 2)]
    worker: Worker[Any] = Worker(queue, [], cron_jobs=crons)
    for hours in range(3):
        await clocks.set(AUTUMN + datetime.timedelta(hours=hours, minutes=1))
        for _ in range(5):
            await clocks.turn(worker)
    await clocks.set(AUTUMN + datetime.timedelta(hours=4))
    hour = datetime.timedelta(hours=1)
    assert Counter(await run_all(queue)) == {AUTUMN + hour: 2, AUTUMN + 2 * hour: 2, AUTUMN + 3 * hour: 2}


@pytest.mark.parametrize(("change", "ticks"), [
    (AUTUMN, ["24 00:30", "25 00:30", "26 01:30"]),  # 02:30 comes twice on the 25th
    (SPRING, ["28 01:30", "29 01:00", "30 00:30"]),  # and not at all on the 29th
])  # fmt: skip
async def test_a_daily_job_runs_once_a_day_when_clocks_are_changed(
    change: datetime.datetime, ticks: list[str], queue: Queue, clocks: Clocks
) -> None:
    cron = saq.CronJob(tidy, cron="30 2 * * *")
    worker: Worker[Any] = Worker(queue, [], cron_jobs=[cron], cron_tz=BERLIN)
    ran: list[datetime.datetime] = []
    for quarters in range(-4 * 26, 4 * 26):
        await clocks.set(change + datetime.timedelta(minutes=15 * quarters, seconds=1))
        ran += await run_all(queue)
        await clocks.turn(worker)
    assert [f"{tick:%d %H:%M}" for tick in ran] == ticks


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"])
def test_every_daily_time_comes_once_a_day(zone: str) -> None:
    """Clocks are changed at midnight in Santiago, and by half an hour on Lord Howe Island."""
    january = datetime.datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    for hour in range(4):
        for minute in (0, 30):
            tick, dates = january, list[datetime.date]()
            while tick.year == january.year:
                tick = next_tick(f"{minute} {hour} * * *", tick)
                dates.append(tick.date())
            one_day = datetime.timedelta(days=1)
            assert dates == [january.date() + one_day * (day + (hour + minute == 0)) for day in range(len(dates))]
            assert len(dates) >= 365


def test_what_runs_every_so_often_does_so_in_both_hours() -> None:
    def ticks(cron: str, count: int) -> list[str]:
        tick, times = (AUTUMN - datetime.timedelta(minutes=70)).astimezone(BERLIN), list[str]()
        for _ in range(count):
            tick = next_tick(cron, tick.astimezone(UTC).astimezone(BERLIN))
            times.append(f"{tick.astimezone(UTC):%H:%M:%S}")
        return times

    assert ticks("*/30 * * * *", 4) == ["00:00:00", "00:30:00", "01:00:00", "01:30:00"]
    assert ticks("0 * * * *", 4) == ["00:00:00", "01:00:00", "02:00:00", "03:00:00"]
    assert ticks("@hourly", 2) == ["00:00:00", "01:00:00"]
    assert ticks("0 2-4 * * *", 3) == ["00:00:00", "02:00:00", "03:00:00"]
    assert ticks("30 2 * * * */20", 4) == ["00:30:00", "00:30:20", "00:30:40", "01:30:00"]  # of the next day
