"""A broker, its workers and a recorder on a real Redis, beside the model that says what each call should do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from copy import deepcopy
from typing import Any

import msgspec
import pytest
import redis

from jobs.broker import Broker, Finished, Push, Reserved, Session, keys, scripts
from jobs.broker.queue import PUSH_DEADLINE_MS
from jobs.errors import EpochChanged
from jobs.event import Cancelled, Due, Enqueued, Position, RetryingLater, Snoozed
from jobs.job import FINAL, Durability, JobSpec, State
from jobs.store.fold import AttemptRow, Fold, JobRow
from tests.factories import make_settings, make_worker_info
from tests.jobs.broker.model import Entry, Known, Redis
from tests.jobs.broker.watch import LASTING, PASSING, Snapshot, Story, dump, look, restore
from tests.jobs.reckoning import compare_attempts

QUEUES = ["a", "b"]
LEASE_MS = 10_000
PAUSE_MS = 5_000


class RecordedBroker(Broker):
    """Keeps what it sent, so that a test can send it once more, later."""

    sent: list[tuple[str, Any, str]]

    async def call(self, script: str, request: Any) -> Any:
        self.sent.append((script, request, str(self.epoch)))
        return await super().call(script, request)

    async def insist(self, client: Any, script: str, request: Any) -> Any:
        self.sent.append((script, request, str(self.epoch)))
        return await super().insist(client, script, request)


class World:
    """Everything that a test drives, and what is known of it."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = redis.Redis.from_url(url)
        self.client.flushall()
        self.broker: RecordedBroker = self.wait(RecordedBroker.open(url, make_settings()))
        self.broker.sent = []
        self.offset_ms = 0
        self.redis = Redis()
        self.story = Story()
        self.specs: dict[str, JobSpec] = {}
        self.deadlines: dict[tuple[str, int], int] = {}
        self.rows: dict[str, JobRow] = {}
        """What the store has recorded."""
        self.attempts: dict[tuple[str, int, int], AttemptRow] = {}
        self.requests: dict[str, int] = {}
        """Which runs are to be cancelled, as the store knows."""
        self.untold: set[str] = set()
        """Jobs whose request Redis has not heard of in this epoch."""
        self.unrecorded: list[tuple[Entry, Any]] = []
        self.recorded: Entry = (0, 0)
        self.tokens: set[str] = set()
        self.hands: list[tuple[Session, Reserved]] = []
        """Jobs that were handed out, by now or ever."""
        self.copy: tuple[Any, ...] | None = None
        self.forgetful: set[tuple[str, int]] = set()
        """Runs that Redis has an older copy of: history may count attempts of which Redis does not know any more."""
        self.older = False
        """An older copy came back, and the epoch was not raised since."""
        self.raise_epoch()

    def wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def close(self) -> None:
        self.wait(self.broker.close())
        self.client.close()
        self.loop.close()

    # Time

    def now_ms(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000 + self.offset_ms

    def advance(self, ms: int) -> None:
        self.offset_ms += ms
        self.client.set(keys.CLOCK, self.offset_ms)

    # What happened

    def observe(self) -> list[Any]:
        """Read the new events; learn from them the times that Redis chose."""
        new = self.story.read(self.client)
        self.unrecorded += new
        for entry, event in new:
            if isinstance(event, RetryingLater | Snoozed) and event.job in self.redis.jobs:
                self.redis.jobs[event.job].due_ms = event.due_ms
            if self.story.ended(event):
                self.redis.finals.append((entry, event.run, event.job))
        return [event for _, event in new]

    def became_due(self, events: Iterable[Any], before_ms: int, after_ms: int) -> None:
        """Check which jobs became due in a call that looks for all that are."""
        promoted = {event.job for event in events if isinstance(event, Due)}
        assert self.redis.due_by(before_ms) <= promoted <= self.redis.due_by(after_ms)
        for job_id in promoted:
            self.redis.due(job_id)

    # The store and its recorder

    def record(self) -> None:
        specs = list(self.specs.values())
        places = {spec.id: (spec.queue, spec.task) for spec in specs}
        fold = Fold(self.rows, places, {spec.id: spec.created_ms for spec in specs})
        for entry, event in self.unrecorded:
            fold.add(event)
            self.recorded = max(self.recorded, entry)
        for key, attempt in fold.attempts.items():
            self.attempts.setdefault(key, attempt).follow(attempt)
        self.unrecorded.clear()

    def position(self) -> Position:
        return Position(self.broker.epoch, *self.recorded, 0)

    def unfinished(self) -> list[str]:
        return [job_id for job_id, row in self.rows.items() if State(row.state) not in FINAL]

    # Pushing

    def push(self, push: Push, *, deadline_ms: int | None = None, recovered: bool = False) -> str:
        before_ms = self.now_ms()
        deadline_ms = before_ms + PUSH_DEADLINE_MS if deadline_ms is None else deadline_ms
        self.deadlines.setdefault((push.spec.id, push.run), deadline_ms)
        (answer,) = self.wait(self.broker.push([push], recovered=recovered, deadline_ms=deadline_ms))
        self.pushed(push, str(answer), before_ms, deadline_ms)
        return str(answer)

    def pushed(self, push: Push, answer: str, before_ms: int, deadline_ms: int) -> None:
        """Compare the answer to a push with the model's."""
        after_ms, job_id = self.now_ms(), push.spec.id
        events = [event for event in self.observe() if not (push.cancelled and isinstance(event, Cancelled))]
        expected = {deepcopy(self.redis).push(push, at_ms, deadline_ms) for at_ms in (before_ms, after_ms)}
        assert answer in expected
        if answer != "NEW":
            return
        row = self.rows.get(job_id)
        assert not (row and State(row.state) in FINAL and row.run >= push.run), "a job that ended runs again"
        self.redis.push(push, before_ms, max(deadline_ms, before_ms))
        self.forgetful.discard((job_id, push.run))
        (event,) = (event for event in events if isinstance(event, Enqueued))
        job = self.redis.jobs[job_id]
        assert event.state in {
            State.SCHEDULED if job.due_ms > at_ms else State.QUEUED for at_ms in (before_ms, after_ms)
        }
        job.state = State.CANCELLED if push.cancelled else event.state

    def push_recovered(self, job_id: str) -> str:
        """Push what the store knows of a job that Redis may have lost, as the reconciler does."""
        row = self.rows[job_id]
        push = Push(
            spec=self.specs[job_id],
            run=row.run,
            attempts=row.attempts,
            uncharged=row.uncharged + (row.state == State.ACTIVE),
            crashes=row.crashes,
            recoveries=row.recoveries + 1,
            checkpoint=row.checkpoint or "",
            version=row.version,
            due_ms=row.due_ms or 0 if row.state in (State.SCHEDULED, State.RETRYING) else 0,
            cancelled=job_id in self.requested(),
        )
        return self.push(push, recovered=True)

    # Cancelling

    def requested(self) -> set[str]:
        """Return what is to be cancelled and has not ended, as far as the store knows."""
        return {job_id for job_id in self.unfinished() if self.requests.get(job_id) == self.rows[job_id].run}

    def cancel(self, job_id: str, run: int) -> str:
        (answer,) = self.wait(self.broker.cancel([job_id], [run]))
        assert answer == self.redis.cancel(job_id, run)
        return str(answer)

    def cancel_known(self) -> list[str]:
        """Bring to Redis what is to be cancelled; return what it does not know."""
        self.untold.clear()
        requested = sorted(self.requested())
        return [job_id for job_id in requested if self.cancel(job_id, self.rows[job_id].run) == "UNKNOWN"]

    # Epochs

    def raise_epoch(self) -> None:
        self.wait(self.broker.raise_epoch(self.broker.epoch + 1))
        self.redis.began_ms = int(self.client.get("{qq}:began") or 0)
        self.older = False

    def reconcile(self) -> None:
        """Raise the epoch and make store and Redis agree."""
        self.observe()
        self.record()
        self.raise_epoch()
        ended = [
            (job_id, row.run) for job_id, row in self.rows.items()
            if State(row.state) in FINAL and job_id in self.redis.jobs
        ]  # fmt: skip
        removed = [job_id for job_id, run in ended if self.redis.discard(job_id, run)]
        assert self.wait(self.broker.discard(ended)) == len(removed)
        for job_id in removed:
            del self.story.states[job_id]
        self.cancel_known()
        for job_id in self.unfinished():
            assert self.push_recovered(job_id) in ("NEW", "KNOWN")

    def wipe(self) -> None:
        """Lose everything that is in Redis; nothing can be done there until the epoch is raised."""
        self.client.flushall()
        for script in scripts.SHA:
            with pytest.raises(EpochChanged):
                self.wait(scripts.run(self.broker.client, script, [], str(self.broker.epoch)))
        assert self.client.dbsize() == 0
        self.advance(0)
        self.redis, self.unrecorded, self.broker.sent = Redis(), [], []
        self.forgetful = set()
        self.story.states, self.story.entry = {}, (0, 0)
        self.reconcile()

    def keep_copy(self) -> None:
        self.copy = (dump(self.client), deepcopy(self.redis), deepcopy(self.story), self.broker.epoch)

    def restore_copy(self) -> None:
        """Let Redis come back with an older copy, which somebody sees before the epoch is raised, or nobody."""
        assert self.copy
        keys_, model, story, epoch = self.copy
        restore(self.client, keys_)
        self.advance(0)
        self.redis, self.story, self.broker.sent = deepcopy(model), deepcopy(story), []
        self.unrecorded = [item for item in self.unrecorded if item[0] <= self.story.entry]
        self.forgetful = {(job_id, job.push.run) for job_id, job in self.redis.jobs.items()}
        self.older = True
        if epoch != self.broker.epoch:
            with pytest.raises(EpochChanged):
                self.wait(self.broker.promote_due())
            self.reconcile()

    # Workers

    def open_session(self) -> Session:
        before_ms = self.now_ms()
        session: Session = self.wait(self.broker.open_session(make_worker_info(*QUEUES)))
        self.redis.sessions[session.id] = before_ms + LEASE_MS
        return session

    def step(
        self, session: Session, finished: Sequence[Finished], want: int, queues: Sequence[str], *, suspects_max: int = 1
    ) -> list[Reserved]:
        """Take a step of the session's lane, and compare all of it with the model."""
        before_ms, lane = self.now_ms(), session.lane(0)
        lane.suspects_max = suspects_max
        step = self.wait(lane.step(finished, want, queues))
        after_ms = self.now_ms()
        assert self.redis.is_new(session.id, 0, lane._request)
        assert step.stale == self.redis.finish(session.id, finished, (before_ms, after_ms))
        self.became_due(self.observe(), before_ms, after_ms)
        suspects, others = self.redis.expected(session.id, want, queues, suspects_max)
        assert (sum(job.crashes >= 2 for job in step.reserved), len(step.reserved)) == (suspects, suspects + others)
        assert self.tokens.isdisjoint(job.token for job in step.reserved), "a token was given twice"
        if not self.older:
            again = self.requested() & {job.id for job in step.reserved}
            assert again <= self.untold, "what is to be cancelled is handed out"
        self.tokens |= {job.token for job in step.reserved}
        self.redis.reserve(session.id, step.reserved, suspects_max)
        self.hands += [(session, job) for job in step.reserved]
        return list(step.reserved)

    def reap(self) -> None:
        before_ms = self.now_ms()
        reaped, ended = self.wait(self.broker.reap())
        after_ms = self.now_ms()
        assert not (ended and before_ms - self.redis.reaped_ms > PAUSE_MS), "right after a pause"
        self.redis.reaped_ms = after_ms
        ran: set[str] = set()
        for session in ended:
            assert self.redis.sessions[session] <= after_ms
            ran |= self.redis.end_session(session)
        assert set(reaped) == ran

    # The comparison

    def compare(self) -> Snapshot:
        """Compare everything in Redis with the model and with the events."""
        self.observe()
        found = look(self.client)
        live = {job_id: _fields(job) for job_id, job in self.redis.jobs.items()}
        assert {job_id: {name: row.get(name, "") for name in "sragcnwx"} | _said(row) for job_id, row in
                found.jobs.items()} == live  # fmt: skip
        assert found.places == self.redis.places()
        assert found.counts == self.redis.counts()
        assert found.tombstones == self.redis.tombstones
        assert found.sessions == set(self.redis.sessions)
        assert all(self.story.states[job_id] is job.state for job_id, job in self.redis.jobs.items())
        if not self.unrecorded:
            self.compare_history(found)
        return found

    def compare_history(self, found: Snapshot) -> None:
        """Compare what the store has recorded with jobs that Redis has, as far as no older copy came between."""
        for job_id, row in self.rows.items():
            compare_attempts(row, [one for one in self.attempts.values() if one.job_id == job_id])
            job = self.redis.jobs.get(job_id)
            if job is None or job.push.run < row.run:
                continue
            version = int(found.jobs[job_id]["v"])
            assert job.push.run == row.run
            if version >= self.broker.epoch * 1_000_000 and not self.older:
                assert row.version == version
                forgetful = (job_id, row.run) in self.forgetful
                # that a job is to be cancelled does not tell in which of its attempts it is
                assert row.state == str(job.state) or (forgetful and job.cancel_requested)
                if not forgetful:
                    assert (row.crashes, row.uncharged) == (job.crashes, job.uncharged)
                    assert row.attempts == row.attempt_base + job.attempts

    def empty(self, found: Snapshot) -> None:
        """Check that nothing is left of jobs and workers."""
        left = {name for name in found.keys if name not in LASTING and name.split(":")[0] not in PASSING}
        assert [found.jobs, found.places, found.counts - self.redis.miscounted, found.sessions] == [{}, {}, {}, set()]
        assert not left


def _fields(job: Known) -> dict[str, str]:
    return {
        "s": str(job.state), "r": str(job.push.run), "a": str(job.attempts), "g": str(job.uncharged),
        "c": str(job.crashes), "n": job.token, "w": job.session, "x": "1" if job.cancel_requested else "",
        "pr": job.progress, "cp": job.checkpoint,
    }  # fmt: skip


def _said(row: dict[str, str]) -> dict[str, str]:
    return {name: row.get(name, "") for name in ("pr", "cp")}


def is_memory(spec: JobSpec) -> bool:
    return spec.durability is Durability.MEMORY


def json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
