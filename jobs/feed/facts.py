"""What is known about the jobs that events speak of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from jobs import event as events
from jobs.broker import Broker, PositionedEvent
from jobs.feed.filter import Demand, Facts, nameless
from jobs.job import Job, JobSpec
from jobs.newest import Newest

KEPT_MAX = 50_000
LOOKUP = 500

_spec = msgspec.json.Decoder(JobSpec)


class _Kept(msgspec.Struct, frozen=True):
    job: Job | None
    """Without what is large; None: nobody knows it."""
    facts: Facts = Facts.KEPT
    """How much of it this is."""


class FactBook:
    """What never changes about the jobs that events speak of: the latest 50,000."""

    def __init__(self, broker: Broker, newest: Newest) -> None:
        self._broker = broker
        self._newest = newest
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def open(self) -> Known:
        """Begin to find out about the jobs of some events."""
        return Known(self)

    def get(self, job_id: str) -> _Kept | None:
        """Return what is kept of a job."""
        return self._kept.get(job_id)

    def learn(self, event: events.Enqueued) -> None:
        """Keep what the first event of a job tells."""
        spec = _read(event.spec) if event.spec else None
        if spec:
            self.keep(event.job, _of_spec(spec))
        elif event.job not in self._kept:
            job = nameless(event.job, event.task, event.queue)
            self._keep(event.job, _Kept(msgspec.structs.replace(job, priority=event.priority), Facts.FIRST))

    def keep(self, job_id: str, job: Job | None) -> _Kept:
        """Keep what a look-up has found, and return what is known now."""
        known = self._kept.get(job_id)
        if job is None and known is not None:  # removed by now; what its first event told is all that there is
            job = known.job
        kept = _Kept(_small(job) if job else None)
        self._keep(job_id, kept)
        return kept

    def _keep(self, job_id: str, kept: _Kept) -> None:
        self._kept[job_id] = kept
        self._kept.move_to_end(job_id)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    async def read(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Read jobs. Raises Unavailable."""
        # What just happened happened to jobs that the broker still has.
        found = await self._broker.jobs(job_ids)
        rest = [job_id for job_id in job_ids if job_id not in found]
        return found | await self._newest.find_many(rest) if rest else found


class Known:
    """What is known about the jobs of some events, as long as these are handed out.

    It has its own hold of what the book keeps: the book may let go of it meanwhile.
    """

    def __init__(self, book: FactBook) -> None:
        self._book = book
        self._kept: dict[str, _Kept] = {}
        self._whole: dict[str, Job | None] = {}

    def job(self, job_id: str, facts: Facts) -> Job | None:
        """Return what is known of a job; WHOLE: as it was when it was looked up."""
        if facts is Facts.WHOLE:
            return self._whole.get(job_id)
        kept = self._kept.get(job_id)
        return kept.job if kept else None

    async def learn(self, batch: Sequence[PositionedEvent], demand: Demand) -> None:
        """Find out what has to be known. Raises Unavailable."""
        while ids := self._missing(batch, demand):
            await self._look_up(ids, whole=demand.most is Facts.WHOLE)

    def _missing(self, batch: Sequence[PositionedEvent], demand: Demand) -> list[str]:
        """Return the jobs that have to be looked up. Learns from the events first."""
        if demand.most is Facts.NOTHING:
            return []
        ids: dict[str, None] = {}
        for _, event in batch:
            if isinstance(event, events.Enqueued):
                self._book.learn(event)
            if event.job not in ids and self._lacks(event.job, demand.of(event)):
                ids[event.job] = None
        return list(ids)

    def _lacks(self, job_id: str, needed: Facts) -> bool:
        if needed is Facts.NOTHING:
            return False
        if needed is Facts.WHOLE:
            return job_id not in self._whole
        kept = self._kept.get(job_id)
        if kept is None or kept.facts < needed:
            kept = self._book.get(job_id)
            if kept is None or kept.facts < needed:
                return True
            self._kept[job_id] = kept
        return False

    async def _look_up(self, job_ids: Sequence[str], *, whole: bool) -> None:
        for start in range(0, len(job_ids), LOOKUP):
            ids = job_ids[start : start + LOOKUP]
            found = await self._book.read(ids)
            for job_id in ids:
                if whole:
                    self._whole[job_id] = found.get(job_id)
                self._kept[job_id] = self._book.keep(job_id, found.get(job_id))


def _read(text: str) -> JobSpec | None:
    try:
        return _spec.decode(text)
    except ValueError:
        return None


def _small(job: Job) -> Job:
    return msgspec.structs.replace(job, args=None, metadata={}, result=None, error=None, progress=None)


def _of_spec(spec: JobSpec) -> Job:
    return msgspec.structs.replace(
        nameless(spec.id, spec.task, spec.queue), priority=spec.priority, owner=spec.owner or None, tags=spec.tags,
        key=spec.key or None, retry_of=spec.retry_of or None, created_ms=spec.created_ms,
    )  # fmt: skip
