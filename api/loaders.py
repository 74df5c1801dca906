"""Batched reads: what many objects of one response ask for is fetched in one query."""

from __future__ import annotations

from collections.abc import Sequence

from strawberry.dataloader import DataLoader

from jobs.client import Client
from jobs.job import Attempt, Job
from jobs.viewer import Viewer

_BATCH_MAX = 500


class Loaders:
    """The loaders of one operation. Nothing is kept between batches, so a subscription sees each job as it is now."""

    def __init__(self, client: Client, viewer: Viewer) -> None:
        self._client = client
        self._viewer = viewer
        self.jobs: DataLoader[str, Job | None] = DataLoader(self._load_jobs, max_batch_size=_BATCH_MAX, cache=False)
        self.attempts: DataLoader[str, list[Attempt]] = DataLoader(
            self._load_attempts, max_batch_size=_BATCH_MAX, cache=False
        )

    async def _load_jobs(self, ids: Sequence[str]) -> list[Job | None]:
        found = await self._client.queries.job.get_many(self._viewer, list(dict.fromkeys(ids)))
        return [found.get(job_id) for job_id in ids]

    async def _load_attempts(self, ids: Sequence[str]) -> list[list[Attempt]]:
        found = await self._client.queries.job.attempts(self._viewer, list(dict.fromkeys(ids)))
        return [found.get(job_id, []) for job_id in ids]
