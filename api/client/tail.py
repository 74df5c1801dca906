"""The log of a job, from its first line on and for as long as it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from api.client import document
from api.client.link import Link
from api.client.option import FINAL, Level
from api.client.refusal import found

PAUSE_S = 0.25
"""A log that has nothing new is read again after so long."""
LATE_S = 10.0
"""History may be so far behind a job's end; what comes later is not waited for."""


async def tail(link: Link, job_id: str, level: Level, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
    """Yield the log lines of a job. With `follow`, until the job has ended and history has all of it.

    Raises CommandError; with `follow`, an API that is away is waited for.
    """
    cursor: str | None = None
    read = link.run_patiently if follow else link.run
    is_complete, waited_s = False, 0.0
    while True:
        data = await read(document.JOB_LOGS, {"id": job_id, "after": cursor, "level": level})
        job = found(data["job"], "job", job_id)
        for edge in job["logs"]["edges"]:
            cursor = edge["cursor"]
            yield edge["node"]
        if job["logs"]["pageInfo"]["hasNextPage"]:
            continue
        if not follow or is_complete:
            return
        if job["state"] in FINAL:
            # What was logged is in history before the end is: read once more, then there is nothing to come.
            is_complete = _is_recorded(job) or waited_s >= LATE_S
            if is_complete:
                continue
            waited_s += PAUSE_S
        await asyncio.sleep(PAUSE_S)


def _is_recorded(job: dict[str, Any]) -> bool:
    """Tell whether history has the end of the job's last attempt."""
    last = job["attempts"]["nodes"]
    if not job["attemptCount"]:
        return True
    return bool(last) and last[0]["run"] == job["run"] and last[0]["finishedAt"] is not None
