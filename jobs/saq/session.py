"""The broker as SAQ's contract needs it: jobs that came from SAQ have a record of their own beside them.

Where a job of SAQ's starts or ends, its record is brought up to date, those who listen are told, and
an ended job is kept for SAQ's ttl, whoever runs it: SAQ's worker through our Queue, or our Worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from jobs.broker import Broker, Finished, Lane, Reserved, Session, Step, WorkerInfo, WorkerWish
from jobs.clock import now_ms
from jobs.outcome import Release
from jobs.saq.job import Record
from jobs.settings import Settings


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What is to be noted of a job (lua/note.lua)."""

    record: str
    id: str
    token: str
    ended: bool
    ttl_ms: int
    fields: list[str] = []
    """Name, value as JSON, name, value ..."""


class SaqBroker(Broker):
    """A broker whose sessions keep the records of SAQ's jobs."""

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__(url, settings)
        self.worker_id = ""
        """Id of SAQ's worker in this process, once it is known."""
        self.on_ended: Callable[[Finished], None] | None = None
        """Called for each attempt that ended here, unless it was somebody else's by then."""

    async def open_session(self, info: WorkerInfo, wish: WorkerWish | None = None) -> SaqSession:
        """Open the session of a worker process, as `Broker` does. Raises BrokerUnavailable, EpochChanged."""
        session = await super().open_session(info, wish)
        return SaqSession(self, session.id, int(self._settings.lease_s * 1000))

    async def note(self, notes: Sequence[Note]) -> list[bool]:
        """Note things of jobs, as often as it takes; False: the job is not the caller's to speak for."""
        if not notes:
            return []
        return [bool(item) for item in await self.insist(self.client, "note", notes)]


class StandaloneBroker(SaqBroker):
    """A broker that begins an epoch where there is none, or nobody else does, so that it works without a store."""

    async def refresh_epoch(self) -> int:
        """Read the broker's copy of the epoch, and begin one where it takes that. Raises BrokerUnavailable."""
        epoch = await self.read_epoch()
        if epoch == 0 or not (await self.began_here() or await self.has_reconciler()):
            # Above all that this process has seen: what is from before a loss cannot pass for something after it,
            # and a reconciler, if there is one after all, sees that it is not its own.
            return await self.raise_epoch(max(epoch, self.epoch) + 1)
        return await super().refresh_epoch()


class SaqSession(Session):
    """A session that keeps the records of SAQ's jobs."""

    def __init__(self, broker: SaqBroker, session_id: str, lease_ms: int) -> None:
        super().__init__(broker, session_id, lease_ms)
        self.saq_broker = broker
        self._held: dict[str, Record] = {}
        self._last: dict[str, list[str]] = {}

    def lane(self, number: int) -> Lane:
        """Return the lane of this number."""
        if number not in self._lanes:
            self._lanes[number] = SaqLane(self, number)
        return self._lanes[number]

    def hold(self, reserved: Reserved) -> None:
        """Remember the job's record until the job has ended here."""
        record = Record.of(reserved.spec)
        if record is not None:
            self._held[reserved.id] = record

    def let_go(self, job_id: str) -> None:
        """Forget the job's record."""
        self._held.pop(job_id, None)
        self._last.pop(job_id, None)

    def last_fields(self, job_id: str, fields: list[str]) -> None:
        """Give what is to be noted when the job has ended."""
        self._last[job_id] = fields

    async def start(self, jobs: Sequence[Reserved]) -> list[bool]:
        """Confirm that the jobs begin now; those answered False must not run. Raises SessionLost."""
        answer = await super().start(jobs)
        touched = str(now_ms())
        worker_id = msgspec.json.encode(self.saq_broker.worker_id or self.id).decode()
        notes = []
        for job, confirmed in zip(jobs, answer, strict=True):
            record = self._held.get(job.id)
            if confirmed and record:
                fields = ["touched", touched, "worker_id", worker_id]
                notes.append(Note(record.name, job.id, job.token, False, record.ttl_ms, fields))
        await self.saq_broker.note(notes)
        return answer

    def ended(self, finished: Sequence[Finished], stale: Sequence[str]) -> list[Note]:
        """Return what is to be noted of what a step has given back."""
        notes, dropped = list[Note](), set(stale)
        for item in finished:
            record, fields = self._held.pop(item.id, None), self._last.pop(item.id, [])
            if item.id in dropped:
                continue
            if self.saq_broker.on_ended:
                self.saq_broker.on_ended(item)
            if isinstance(item.outcome, Release):
                fields = ["error", '"cancelled"']  # what SAQ's worker says of a job that it gives back
            if record:
                notes.append(Note(record.name, item.id, "", True, record.ttl_ms, fields))
        return notes


class SaqLane(Lane):
    """A lane that keeps the records of SAQ's jobs."""

    def __init__(self, session: SaqSession, number: int) -> None:
        super().__init__(session.saq_broker, session.id, number)
        self._saq_session = session

    async def step(self, finished: Sequence[Finished], want: int, queues: Sequence[str]) -> Step:
        """Give back what is finished and reserve up to `want` jobs, in one call. Raises SessionLost."""
        step = await super().step(finished, want, queues)
        notes = self._saq_session.ended(finished, step.stale)
        for reserved in step.reserved:  # a job that is retried at once may be among them again
            self._saq_session.hold(reserved)
        await self._saq_session.saq_broker.note(notes)
        return step
