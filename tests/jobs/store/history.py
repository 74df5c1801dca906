"""A job as history has it: accepted, and read again."""

from __future__ import annotations

from typing import Any

from jobs.job import AttemptState, Job, JobSpec
from jobs.store import Store
from tests.factories import make_spec


async def accepted(store: Store, **fields: Any) -> JobSpec:
    spec = make_spec(**fields)
    await store.accept.accept(spec)
    return spec


async def read(store: Store, spec: JobSpec) -> Job:
    job = await store.search.job(spec.id)
    assert job
    return job


async def attempts(store: Store, spec: JobSpec) -> list[tuple[int, int, AttemptState]]:
    found = (await store.search.attempts([spec.id]))[spec.id]
    return [(attempt.run, attempt.number, attempt.state) for attempt in found]
