"""The log of a job, from its first line on and for as long as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from api.client import document
from api.client.link import Link
from api.client.option import Level
from api.client.refusal import found


async def tail(link: Link, job_id: str, level: Level, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
    """Yield the log lines of a job. With `follow`, until the job has ended and history has all of it.

    Raises CommandError; with `follow`, an API that goes away meanwhile is waited for.
    """
    lines = _live(link, job_id, level) if follow else _written(link, job_id, level)
    async for line in lines:
        yield line


async def _live(link: Link, job_id: str, level: Level) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None

    def variables() -> dict[str, Any]:
        return {"id": job_id, "after": cursor, "level": level}

    async for news in link.stream(document.LOG_LIVE, variables):
        for edge in news["jobLogs"]["edges"] if news else ():
            cursor = edge["cursor"]
            yield edge["node"]


async def _written(link: Link, job_id: str, level: Level) -> AsyncIterator[dict[str, Any]]:
    cursor, goes_on = None, True
    while goes_on:
        data = await link.run(document.JOB_LOGS, {"id": job_id, "after": cursor, "level": level})
        logs = found(data["job"], "job", job_id)["logs"]
        for line in logs["nodes"]:
            yield line
        cursor, goes_on = logs["pageInfo"]["endCursor"], logs["pageInfo"]["hasNextPage"]
