"""Viewers, and what they ask of a client."""

from __future__ import annotations

from typing import Any

import msgspec

from jobs.client import Client
from jobs.commands import Enqueued, EnqueueRequest
from jobs.job import Job
from jobs.page import PageRequest
from jobs.viewer import Role, Viewer
from jobs.where import JobWhere
from tests.wait import until

ADMIN = Viewer(id="a", name="admin", role=Role.ADMIN)
OPERATOR = Viewer(id="o", name="operator", role=Role.OPERATOR)
READER = Viewer(id="r", name="reader", role=Role.VIEWER)

HOUR_MS = 3_600_000


async def enqueue(client: Client, task: str = "noop", **fields: Any) -> Enqueued:
    return await client.commands.job.enqueue(OPERATOR, EnqueueRequest(task=task, **fields))


async def all_jobs(client: Client) -> list[Job]:
    await until(lambda: not client.pusher.waiting)
    return (await client.queries.job.page(ADMIN, JobWhere(), PageRequest(limit=100))).items


def lasting(job: Job) -> Job:
    """The job without what its way through the broker changes."""
    return msgspec.structs.replace(job, version=0, updated_ms=0)
