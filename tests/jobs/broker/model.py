"""What Redis should know, as plain Python: the other side of the comparison in test_model.py. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.broker import Finished, Push, Reserved
from jobs.broker.queue import PUSH_DEADLINE_MS
from jobs.job import FINAL, State
from jobs.outcome import Cancel, Complete, Crash, Die, Outcome, Release, RetryLater, Snooze

WAITING = (State.SCHEDULED, State.QUEUED, State.RETRYING)
DUE = (State.SCHEDULED, State.RETRYING)
NO_RETRY = (RetryLater, Snooze, Release)
POISON_CRASHES, SUSPECT_CRASHES, LOSSES = 3, 2, 10

Entry = tuple[int, int]
"""Id of an entry of the stream."""


@dataclass
class Known:
    """A job as Redis should have it."""

    push: Push
    state: State
    due_ms: int = 0
    attempts: int = 0
    uncharged: int = 0
    crashes: int = 0
    token: str = ""
    session: str = ""
    cancel_requested: bool = False
    progress: str = ""
    checkpoint: str = ""
    own_process: bool = False
    losses: int = 0

    @property
    def place(self) -> tuple[str, ...]:
        """The key that holds its id, in parts."""
        spec = self.push.spec
        if self.session:
            return ("held", self.session)
        if self.state is State.QUEUED:
            return ("suspects", spec.queue) if self.suspect else ("ready", spec.queue, str(int(spec.priority)))
        return ("due",) if self.state in DUE else ()

    @property
    def suspect(self) -> bool:
        return self.crashes >= SUSPECT_CRASHES

    def to(self, state: State) -> None:
        self.state, self.token, self.session = state, "", ""

    def hold(self, session: str, token: str) -> None:
        self.session, self.token = session, token


@dataclass
class Redis:
    """Everything that a copy of Redis has."""

    jobs: dict[str, Known] = field(default_factory=dict)
    tombstones: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    """The earliest end of each lease."""
    lanes: dict[tuple[str, int], int] = field(default_factory=dict)
    suspects: dict[str, set[str]] = field(default_factory=dict)
    finals: list[tuple[Entry, int, str]] = field(default_factory=list)
    miscounted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Jobs that were set aside without anybody knowing which state they were counted under."""
    began_ms: int = 0
    reaped_ms: int = 0

    # Jobs come and go

    def push(self, push: Push, now_ms: int, deadline_ms: int) -> str:
        """Say how the push should be answered, and take the job in."""
        job_id = push.spec.id
        known = self.jobs.get(job_id)
        if (known.push.run if known else self.tombstones.get(job_id, 0)) >= push.run:
            return "KNOWN"
        if now_ms > deadline_ms or deadline_ms < self.began_ms + PUSH_DEADLINE_MS:
            return "LATE"
        due_ms = push.due_ms or push.spec.scheduled_ms
        self.jobs[job_id] = Known(
            push=push,
            state=State.SCHEDULED if due_ms > now_ms else State.QUEUED,
            due_ms=due_ms,
            attempts=push.attempts,
            uncharged=push.uncharged,
            crashes=push.crashes,
            checkpoint=push.checkpoint,
        )
        if push.cancelled:
            self.jobs[job_id].to(State.CANCELLED)
        return "NEW"

    def discard(self, job_id: str, run: int) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.state in FINAL or job.push.run > run:
            return False
        del self.jobs[job_id]
        self.tombstones[job_id] = run
        return True

    def cancel(self, job_id: str, run: int) -> str:
        """Say how it should be answered to cancel a run; 0: whichever there is."""
        job = self.jobs.get(job_id)
        newest = job.push.run if job else self.tombstones.get(job_id, -1)
        if newest < run:
            return "UNKNOWN"
        if job is None:
            return "UNKNOWN" if newest < 0 else "FINAL"
        if run and newest > run:
            return "FINAL"
        if job.state in WAITING:
            job.to(State.CANCELLED)
            return "CANCELLED"
        if job.state is State.ACTIVE:
            job.cancel_requested = True
            return "REQUESTED"
        return "FINAL"

    def forget(self, recorded: Entry) -> int:
        read = 0
        for entry, run, job_id in self.finals:
            if entry > recorded:
                break
            read += 1
            job = self.jobs.get(job_id)
            if job and job.state in FINAL and job.push.run == run:
                del self.jobs[job_id]
                self.tombstones[job_id] = run
        del self.finals[:read]
        return read

    def due(self, job_id: str) -> None:
        self.jobs[job_id].to(State.QUEUED)

    def due_by(self, now_ms: int) -> set[str]:
        return {job_id for job_id, job in self.jobs.items() if job.state in DUE and job.due_ms <= now_ms}

    # What workers do

    def held(self, session: str) -> set[str]:
        return {job_id for job_id, job in self.jobs.items() if job.session == session}

    def cancelled(self, session: str) -> set[str]:
        return {job_id for job_id in self.held(session) if self.jobs[job_id].cancel_requested}

    def is_new(self, session: str, lane: int, number: int) -> bool:
        """Tell whether a step is done, not only answered."""
        if number <= self.lanes.get((session, lane), 0):
            return False
        self.lanes[session, lane] = number
        return True

    def finish(self, session: str, finished: Iterable[Finished], now: tuple[int, int]) -> list[str]:
        """Apply outcomes; return the ids of those that are stale."""
        return [item.id for item in finished if not self._finish(session, item, now[0])]

    def _finish(self, session: str, item: Finished, now_ms: int) -> bool:
        job = self.jobs.get(item.id)
        if job is None or job.state is not State.ACTIVE or job.token != item.token:
            return False
        outcome = Cancel() if job.cancel_requested and isinstance(item.outcome, NO_RETRY) else item.outcome
        if isinstance(outcome, Crash):
            self._crash(job)
            return True
        job.to(_AFTER[type(outcome)])
        job.uncharged += isinstance(outcome, Snooze | Release)
        if isinstance(outcome, RetryLater | Snooze):
            job.due_ms = now_ms + outcome.delay_ms
        return True

    def _crash(self, job: Known, *, charged: bool = True) -> None:
        if job.cancel_requested:
            job.to(State.CANCELLED)
            return
        job.crashes += charged
        if job.crashes >= POISON_CRASHES:
            job.to(State.DEAD)
        else:
            job.uncharged += 1
            job.to(State.QUEUED)

    def _lose(self, job: Known) -> None:
        alone = job.suspect and job.own_process
        job.losses += alone
        self._crash(job, charged=not alone or job.losses >= LOSSES)

    def expected(self, session: str, want: int, queues: Sequence[str], suspects_max: int) -> tuple[int, int]:
        """Say how many suspects and how many others a step should reserve."""
        held = self.suspects.setdefault(session, set())
        held &= self.held(session)
        free = [job for job in self.jobs.values() if job.place[:1] in (("ready",), ("suspects",))]
        here = Counter(job.suspect for job in free if job.push.spec.queue in queues)
        suspects = max(0, min(suspects_max - len(held), want, here[True]))
        return suspects, min(want - suspects, here[False])

    def reserve(self, session: str, jobs: Iterable[Reserved], suspects_max: int) -> None:
        for item in jobs:
            job = self.jobs[item.id]
            assert job.state is State.QUEUED
            assert not job.token, "somebody has it"
            assert (item.run, item.attempt, item.uncharged, item.crashes, item.checkpoint) == (
                job.push.run, job.attempts + 1, job.uncharged, job.crashes, job.checkpoint
            )  # fmt: skip
            job.hold(session, item.token)
            if job.suspect:
                self.suspects[session].add(item.id)
                job.own_process = suspects_max > 1

    def take(self, session: str, job_id: str) -> bool:
        """Say whether the job can be had; `hold` it then."""
        job = self.jobs.get(job_id)
        return job is not None and job.state in WAITING and (not job.session or job.token.endswith("taken"))

    def start(self, job_id: str, token: str) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.token != token:
            return False
        if job.state is State.QUEUED:
            job.state, job.attempts = State.ACTIVE, job.attempts + 1
        return True

    def put_back(self, job_id: str, token: str) -> None:
        job = self.jobs.get(job_id)
        if job and job.state is State.QUEUED and job.token == token:
            job.to(State.QUEUED)

    def end_session(self, session: str) -> set[str]:
        """Take its jobs away; return those that ran."""
        held = self.held(session)
        ran = {job_id for job_id in held if self.jobs[job_id].state is State.ACTIVE}
        for job_id in held:
            if job_id in ran:
                self._lose(self.jobs[job_id])
            else:
                self.jobs[job_id].to(State.QUEUED)
        del self.sessions[session]
        self.suspects.pop(session, None)
        self.lanes = {key: number for key, number in self.lanes.items() if key[0] != session}
        return ran

    def keep(self, session: str, epoch: str, tokens: Iterable[str]) -> None:
        """Take away what the session had before this epoch and has no more."""
        for job_id in self.held(session):
            job = self.jobs[job_id]
            if job.token.split("-")[0] == epoch:
                continue
            if job.state is State.QUEUED:
                job.to(State.QUEUED)
            elif job.token not in tokens:
                self._crash(job, charged=False)

    # What there should be besides the jobs themselves

    def places(self) -> dict[tuple[str, ...], set[str]]:
        places: dict[tuple[str, ...], set[str]] = {}
        for job_id, job in self.jobs.items():
            if job.place:
                places.setdefault(job.place, set()).add(job_id)
            if job.cancel_requested and job.session:
                places.setdefault(("cancel", job.session), set()).add(job_id)
        return places

    def counts(self) -> Counter[tuple[str, str]]:
        live = (job for job in self.jobs.values() if job.state not in FINAL)
        return Counter((job.push.spec.queue, str(job.state)) for job in live) + self.miscounted


_AFTER: dict[type[Outcome], State] = {
    Complete: State.COMPLETED,
    RetryLater: State.RETRYING,
    Snooze: State.SCHEDULED,
    Release: State.QUEUED,
    Cancel: State.CANCELLED,
    Die: State.DEAD,
}
