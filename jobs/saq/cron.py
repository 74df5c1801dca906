"""When a cron job runs, and what tells its ticks apart, so that each comes to one job only."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import msgspec
import saq.job
from croniter import croniter  # type: ignore[import-untyped]  # has no stubs of its own

from jobs.job import JobSpec
from jobs.saq.job import Dump, encode


def next_tick(cron: str, after: datetime) -> datetime:
    """Return the first tick after a moment, in that moment's time zone.

    Where clocks are put back, what runs at a fixed time of day does so in the first of the two hours only; where
    they are put forward, it runs when the missing hour is over. What runs every so often does so in both hours.
    """
    ticks = croniter(cron, after)  # SAQ's own parser: its order of fields and its names have to keep their meaning
    minute, hour = ticks.expressions[:2]
    tick = datetime.fromtimestamp(int(ticks.get_next()), after.tzinfo)
    while tick.fold and not minute.startswith("*") and not hour.startswith("*"):
        tick = datetime.fromtimestamp(int(ticks.get_next()), after.tzinfo)
    return tick


def planned(cron_job: saq.job.CronJob[Any], after: datetime, dump: Dump) -> dict[str, Any]:
    """Return the arguments for `Queue.enqueue` of a cron job's first tick after a moment.

    One that is not `unique` has a key for each tick, so that its runs may overlap.
    """
    options = {name: value for name, value in vars(cron_job).items() if value is not None}
    function, cron = options.pop("function").__qualname__, options.pop("cron")
    scheduled = int(next_tick(cron, after).timestamp())
    key = f"cron:{function}"
    if not options.pop("unique"):
        kwargs = encode(dump, cron_job.kwargs or {})
        same = hashlib.sha256(msgspec.json.encode([cron, kwargs.decode()])).hexdigest()[:16]
        key = f"{key}:{same}:{scheduled}"
    return {"job_or_func": function, "key": key, "scheduled": scheduled, **options}


def is_tick(spec: JobSpec) -> bool:
    """Tell whether a job is a tick of a cron job, planned by SAQ's worker or by ours."""
    key = f"cron:{spec.task}"
    return spec.scheduled_ms > 0 and spec.key is not None and (spec.key == key or spec.key.startswith(f"{key}:"))
