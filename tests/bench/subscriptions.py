"""A thousand subscribers on one API process, each of whom wants one in a hundred of the events of 1,000 jobs a second.

The API runs as `queueql api` on a Redis and a SQLite database. Jobs pass through the broker as
pushers and workers make them, three events each; nothing is recorded meanwhile, so that two cores suffice.

live      1,000 WebSockets with filters of 100 kinds; figures of the API from the middle of the run
resume    the API is killed with SIGKILL and started again; every subscriber comes back with its cursor
slow      subscribers to everything stop reading; what they cost, and the gap that they get when they read on
strawberry    Strawberry's own handling of the same subscription: its ASGI view over the same schema and feed
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.bench.feeder import EVENTS, KINDS, Feeder, where_of
from tests.bench.stage import Api, Bench, Crowd, opened

JOBS_PER_S = 1_000
SUBSCRIBERS = 1_000
WARM_UP_S = 5.0
MEASURED_S = 20.0
RESUMED_S = 15.0
SLOW = 50
"""Subscribers that stop reading, each to all events."""
SLOW_S = 20.0
PEERS = 100
"""Subscribers that Strawberry's own handling gets."""
DEADLINE_S = 30


async def live(bench: Bench, feeder: Feeder, subscribers: int) -> dict[str, Any]:
    """Measure the API with its subscribers, then kill it in the middle; check what arrived."""
    api = Api(["queueql", "api"], bench.settings, bench.folder)
    await api.start()
    try:
        await asyncio.sleep(1.0)
        before_kb = api.memory_kb()
        after = await bench.cursor()
        kinds = [number % KINDS for number in range(subscribers)]
        async with bench.crowd([where_of(kind) for kind in kinds], after) as crowd:
            await _until(crowd, lambda said: said["subscribed"] == subscribers)
            await asyncio.sleep(1.0)
            per_subscriber_kb = (api.memory_kb() - before_kb) / subscribers
            feeding = asyncio.create_task(feeder.run(WARM_UP_S + MEASURED_S + RESUMED_S))
            await asyncio.sleep(WARM_UP_S)
            figures = await _measure(api, crowd, MEASURED_S)
            await api.kill()
            away = time.monotonic()
            await api.start()
            away_s = time.monotonic() - away
            await feeding
            expected, sums = await bench.expected(feeder, after)
            said = await _until(crowd, lambda said: said["events"] >= sum(expected[kind] for kind in kinds))
            caught_up_s = time.monotonic() - away - RESUMED_S
        right = [
            (count, code, gaps) == (expected[kind], sums[kind], [])
            for kind, count, code, gaps in zip(kinds, said["counts"], said["sums"], said["gaps"], strict=True)
        ]
    finally:
        await api.kill()
    return figures | {
        "subscribers": subscribers,
        "memory_kb_per_subscriber": round(per_subscriber_kb, 1),
        "resume": {
            "reconnects": said["reconnects"],
            "away_s": round(away_s, 2),
            "behind_at_the_end_s": round(max(0.0, caught_up_s), 2),
            "deliveries": said["events"],
            "deliveries_expected": sum(expected[kind] for kind in kinds),
            "subscribers_with_every_event_in_order": sum(right),
            "faults": said["faults"],
        },
    }


async def _measure(api: Api, crowd: Crowd, seconds: float) -> dict[str, Any]:
    before = await crowd.say("report")
    cpu_s, began = api.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    said = await crowd.say("report")
    took_s, used_s = time.monotonic() - began, api.cpu_s() - cpu_s
    events, messages = said["events"] - before["events"], said["messages"] - before["messages"]
    return {
        "deliveries_per_s": round(events / took_s),
        "messages_per_s": round(messages / took_s),
        "cpu_us_per_delivery": round(used_s / max(1, events) * 1e6, 1),
        "cpu_us_per_message": round(used_s / max(1, messages) * 1e6, 1),
        "cpu_cores": round(used_s / took_s, 2),
        "client_cores": round((said["cpu_s"] - before["cpu_s"]) / took_s, 2),
        "latency_p50_ms": _rounded(said["p50_ms"]),
        "latency_p99_ms": _rounded(said["p99_ms"]),
        "latency_max_ms": _rounded(said["max_ms"]),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


async def _until(crowd: Crowd, done: Any) -> dict[str, Any]:
    """Wait until a report is as it should be, or for the deadline; return the last one."""
    deadline = time.monotonic() + DEADLINE_S
    while not done(said := await crowd.say("report")) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return said


async def slow(bench: Bench, feeder: Feeder) -> dict[str, Any]:
    """Let subscribers to everything stop reading; tell what they cost, and what they get when they read on."""
    api = Api(["queueql", "api"], bench.settings, bench.folder)
    await api.start()
    try:
        async with (
            bench.crowd([None], await bench.cursor()) as quick,
            bench.crowd([None] * SLOW, await bench.cursor(), buffer_bytes=4_096) as stuck,
        ):
            begin = (await quick.say("report"))["events"]
            feeding = asyncio.create_task(feeder.run(SLOW_S + 5))
            await asyncio.sleep(2)
            await stuck.say("pause")
            before_kb, peak_kb = api.memory_kb(), 0.0
            ends = time.monotonic() + SLOW_S
            while time.monotonic() < ends:
                peak_kb = max(peak_kb, api.memory_kb())
                await asyncio.sleep(0.2)
            await stuck.say("resume")
            await feeding
            said = await _until(stuck, lambda said: all(said["gaps"]))
            told = await _until(quick, lambda told: told["events"] - begin >= feeder.fed * EVENTS)
    finally:
        await api.kill()
    return {
        "subscribers": SLOW,
        "seconds": SLOW_S,
        "memory_kb_per_subscriber": round((peak_kb - before_kb) / SLOW, 1),
        "with_gap": sum(bool(gaps) for gaps in said["gaps"]),
        "gaps": sorted({gap for gaps in said["gaps"] for gap in gaps}),
        "quick_one_beside_them": {
            "events": told["events"] - begin,
            "events_expected": feeder.fed * EVENTS,
            "gaps": told["gaps"][0],
            "latency_p99_ms": _rounded(told["p99_ms"]),
        },
    }


async def strawberry(bench: Bench, feeder: Feeder) -> dict[str, Any]:
    """Measure Strawberry's own handling, with as many subscribers as it may bear."""
    api = Api(["tests.bench.peer"], bench.settings, bench.folder)
    await api.start()
    try:
        wheres = [where_of(number % KINDS) for number in range(PEERS)]
        async with bench.crowd(wheres, await bench.cursor()) as crowd:
            await _until(crowd, lambda said: said["subscribed"] == PEERS)
            feeding = asyncio.create_task(feeder.run(WARM_UP_S + MEASURED_S))
            await asyncio.sleep(WARM_UP_S)
            figures = await _measure(api, crowd, MEASURED_S)
            await feeding
    finally:
        await api.kill()
    return figures | {"subscribers": PEERS}


async def run(*, jobs: int = 0) -> dict[str, Any]:
    """Measure; `ratio` is how much less CPU a delivery costs than with Strawberry's own handling.

    How many jobs pass is a matter of time, whatever `jobs` says.
    """
    async with opened(JOBS_PER_S) as (bench, feeder):
        ours = await live(bench, feeder, SUBSCRIBERS)
        resumed, stuck = ours.pop("resume"), await slow(bench, feeder)
        theirs = await strawberry(bench, feeder)
    return {
        "queueql": ours,
        "strawberry": theirs,
        "ratio": round(theirs["cpu_us_per_delivery"] / ours["cpu_us_per_delivery"], 1),
        "resume": resumed,
        "slow": stuck,
        "jobs_per_s": JOBS_PER_S,
    }
