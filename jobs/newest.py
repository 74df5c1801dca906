"""A job as it stands now: history and what is on its way, put together. The doors read single jobs through this."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from jobs.broker import Broker
from jobs.errors import BrokerUnavailable, StoreUnavailable
from jobs.job import FINAL, Job
from jobs.store import Store

log = structlog.get_logger(__name__)

_ID_MAX = 128


class Newest:
    """Reads jobs by id from the store and the broker and answers with the newer one by (run, version)."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker

    async def find(self, job_id: str) -> Job | None:
        """Return the job, None where there is none. Raises Unavailable where that cannot be told now."""
        return (await self.find_many([job_id])).get(job_id)

    async def find_many(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return those of the jobs that exist. Raises Unavailable where that cannot be told of one of them.

        While one of the rooms is away, the other one's answer is as new as it gets.
        """
        ids = [job_id for job_id in dict.fromkeys(job_ids) if may_exist(job_id)]
        if not ids:
            return {}
        away: StoreUnavailable | BrokerUnavailable | None = None
        found: dict[str, Job] = {}
        try:
            found = await self._store.search.jobs_by_id(ids)
        except StoreUnavailable as error:
            away = error
        # What history knows as final is final; only the rest can be newer elsewhere.
        open_ids = [job_id for job_id in ids if job_id not in found or found[job_id].state not in FINAL]
        if open_ids:
            try:
                found |= _newer(found, await self._broker.jobs(open_ids))
            except BrokerUnavailable as error:
                away = away or error
        if away and len(found) < len(ids):
            raise away
        return found


def _newer(known: dict[str, Job], live: dict[str, Job]) -> dict[str, Job]:
    # Progress does not raise the version: between equals the live one is fresher.
    return {
        job_id: _completed(job, known.get(job_id))
        for job_id, job in live.items()
        if _is_whole(job, known.get(job_id)) and _is_newer(job, known.get(job_id))
    }


def _is_newer(live: Job, known: Job | None) -> bool:
    return known is None or (live.run, live.version) >= (known.run, known.version)


def _is_whole(live: Job, known: Job | None) -> bool:
    """Tell whether the job's arguments are here. Large ones are in the store only."""
    return known is not None or not live.payload_bytes


def _completed(live: Job, known: Job | None) -> Job:
    """Add what only the store has: large arguments, and a request to cancel that Redis has not heard of, or lost."""
    if known is None:
        return live
    if known.cancel_requested and known.run == live.run and not live.cancel_requested:
        live = msgspec.structs.replace(live, cancel_requested=True)
    return msgspec.structs.replace(live, args=known.args, payload_bytes=0) if live.payload_bytes else live


def may_exist(job_id: str) -> bool:
    """Tell whether a text can be the id of a job at all; anything else never reaches a database."""
    return len(job_id) <= _ID_MAX and "\x00" not in job_id and job_id.isprintable()
