"""What callers, workers, services and misfortune do, each act drawn at random and compared with the model."""

from __future__ import annotations

import random
from typing import Any, TypeVar

import pytest

from jobs.broker import Cancelling, Finished, Push, Report, Reserved, Session, scripts
from jobs.broker.scripts import SessionLost
from jobs.clock import now_ms
from jobs.errors import EpochChanged
from jobs.event import Due, Logged, Progressed, Quarantined
from jobs.job import FINAL, Durability, Failure, LogLevel, Priority, Progress, Reason, State
from jobs.outcome import Cancel, Complete, Crash, Die, Outcome, Release, RetryLater, Snooze
from jobs.store.fold import JobRow
from tests.factories import make_spec, make_vitals
from tests.jobs.broker.machine import LEASE_MS, QUEUES, World, is_memory, json
from tests.jobs.broker.model import WAITING

T = TypeVar("T")

FAILURE = Failure(type="ValueError", message="no")
OUTCOMES: list[Outcome] = [
    Complete("1"), RetryLater(FAILURE, 0), RetryLater(FAILURE, 5_000), Snooze(1_000), Release(), Cancel(),
    Die(Reason.NOT_RETRYABLE, FAILURE), *[Crash(FAILURE)] * 4,
]  # fmt: skip
SUBSETS = [QUEUES, QUEUES, ["a"], ["b", "a"]]
RECENT = 12
LATE_SCRIPTS = ("step", "start", "put_back", "report", "enqueue")
"""Scripts whose requests may arrive once more, at any time, without any effect."""


class Acts:
    """Two workers, two queues, a recorder that lags behind, and a clock that only moves when told to."""

    def __init__(self, url: str) -> None:
        self.world = World(url)
        self.sessions = [self.world.open_session() for _ in range(2)]
        self.random = random.Random(0)  # noqa: S311  # what is wanted is that it can be repeated
        """Set by whoever lets something happen."""

    def one(self, things: list[T]) -> T | None:
        return self.random.choice(things) if things else None

    def chance(self, of: int) -> bool:
        return self.random.randint(1, of) == of

    def job(self) -> str | None:
        return self.one(sorted(self.world.specs)[-RECENT:])

    def worker(self) -> Session:
        return self.sessions[self.random.randint(0, 1)]

    def lives(self, session: Session) -> bool:
        return session.id in self.world.redis.sessions

    def holds(self) -> list[tuple[Session, Reserved]]:
        tokens = {job.token for job in self.world.redis.jobs.values()}
        return [pair for pair in self.world.hands if pair[1].token in tokens]

    def hand(self) -> tuple[Session, Reserved] | None:
        """Draw a job that somebody holds or, now and then, one that somebody held once."""
        return self.one(self.lost() or self.world.hands[-RECENT:]) if self.chance(4) else self.one(self.holds())

    def lost(self) -> list[tuple[Session, Reserved]]:
        """Jobs that somebody held once and that somebody holds now, under another token."""
        jobs = self.world.redis.jobs
        return [pair for pair in self.world.hands if pair[1].id in jobs and jobs[pair[1].id].token not in
                ("", pair[1].token)][-RECENT:]  # fmt: skip

    # Callers

    def push(self) -> None:
        queue, priority = self.random.choice(QUEUES), self.random.choice(list(Priority))
        durability = Durability.MEMORY if self.chance(4) else Durability.STORE
        due_ms = self.world.now_ms() + 3_250 if self.chance(4) else 0
        spec = make_spec(queue=queue, priority=priority, scheduled_ms=due_ms, durability=durability)
        self.world.specs[spec.id] = spec
        if not is_memory(spec):
            self.world.rows[spec.id] = JobRow()
        self.world.push(Push(spec=spec), deadline_ms=self.world.now_ms() - 1 if self.chance(8) else None)

    def push_again(self) -> None:
        """Push a run of a job that was pushed before, which has no more time than it had then."""
        pushes = sorted(self.world.deadlines)[-RECENT:]
        if known := self.one(pushes):
            job_id, number = known
            push = Push(spec=self.world.specs[job_id], run=number)
            self.world.push(push, deadline_ms=self.world.deadlines[known])

    def push_unpushed(self) -> None:
        for job_id in self.world.unfinished():
            row = self.world.rows[job_id]
            if row.version == 0:
                cancelled = job_id in self.world.requested()
                self.world.push(Push(spec=self.world.specs[job_id], run=row.run, cancelled=cancelled))

    def run_again(self) -> None:
        rows = self.world.rows
        job_id = self.one(sorted(one for one in rows if rows[one].state in (State.DEAD, State.CANCELLED)))
        if job_id:
            rows[job_id] = JobRow(run=rows[job_id].run + 1, recoveries=rows[job_id].recoveries)
            if not self.chance(4):
                self.world.push(Push(spec=self.world.specs[job_id], run=rows[job_id].run))

    def cancel(self) -> None:
        if job_id := self.job():
            row = self.world.rows.get(job_id)
            if row is None or State(row.state) in FINAL or self.chance(6):
                # nobody wrote that down, or it was meant for an earlier run
                self.world.cancel(job_id, row.run - 1 if row else 0)
                return
            self.world.requests[job_id] = row.run
            if self.chance(4):
                self.world.untold.add(job_id)
            else:
                self.world.cancel(job_id, row.run)

    def bring_requests(self) -> None:
        """Cancel what is to be cancelled, also what Redis does not know, as jobs/cancel.py does."""
        for job_id in self.world.cancel_known():
            self.world.push_recovered(job_id)

    # Workers

    def step(self) -> None:
        session, want = self.worker(), self.random.randint(0, 5)
        queues, suspects_max = self.random.choice(SUBSETS), self.random.randint(0, 2)
        finished = []
        stale = {job.token for _, job in self.lost()}
        for _ in range(self.random.randint(0, 3)):
            hand = self.hand()
            if hand and (hand[0] is session or hand[1].token in stale):
                finished.append(Finished(hand[1].id, hand[1].token, self.random.choice(OUTCOMES)))
        lane = session.lane(0)
        if not self.lives(session):
            with pytest.raises(SessionLost):
                self.world.wait(lane.step(finished, want, queues))
            return
        reserved = self.world.step(session, finished, want, queues, suspects_max=suspects_max)
        if self.chance(3):
            lane._request -= 1  # as if the answer had been lost
            assert self.world.wait(lane.step(finished, want, queues)).reserved == reserved
        if self.chance(2):
            self.start_all()

    def start_all(self) -> None:
        for session, job in self.holds():
            self.start_one(session, job)

    def start(self) -> None:
        if hand := self.hand():
            self.start_one(*hand, twice=self.chance(2))

    def start_one(self, session: Session, job: Reserved, *, twice: bool = False) -> None:
        if not self.lives(session):
            with pytest.raises(SessionLost):
                self.world.wait(session.start([job]))
            return
        answer = self.world.wait(session.start([job]))
        assert answer == [self.world.redis.start(job.id, job.token)]
        assert not twice or self.world.wait(session.start([job])) == answer

    def report(self) -> None:
        hand = self.hand()
        if not hand:
            return
        session, job = hand
        progress = Progress(done=self.random.randint(1, 9))
        checkpoint = f'{{"value":{int(progress.done)}}}' if self.chance(2) else ""
        line = (LogLevel.INFO, "here", "", "", now_ms())
        report = Report(id=job.id, token=job.token, progress=progress, checkpoint=checkpoint, logs=[line])
        if not self.lives(session):
            with pytest.raises(SessionLost):
                self.world.wait(session.report([report]))
            return
        self.world.wait(session.report([report]))
        if self.chance(2):
            session._reports -= 1
            self.world.wait(session.report([report]))
        known = self.world.redis.jobs.get(job.id)
        heard = known is not None and known.state is State.ACTIVE and known.token == job.token
        if known and heard:
            known.progress, known.checkpoint = json(progress), checkpoint or known.checkpoint
        assert [type(event) for event in self.world.observe()] == ([Progressed, Logged] if heard else [])

    def put_back(self) -> None:
        if hand := self.hand():
            self.world.wait(hand[0].put_back([hand[1]]))
            self.world.redis.put_back(hand[1].id, hand[1].token)

    def take(self) -> None:
        job_id, session = self.job(), self.worker()
        if not job_id or not self.lives(session):
            return
        known = self.world.redis.jobs.get(job_id)
        mine = known is not None and known.session == session.id and known.token.endswith("taken")
        free = known is not None and known.state in WAITING and (mine or not known.session)
        (token,) = self.world.wait(self.world.broker.call("take", (session.id, [job_id])))
        assert bool(token) == free
        if known and token and not mine:
            if any(isinstance(event, Due) for event in self.world.observe()):
                self.world.redis.due(job_id)
            assert token not in self.world.tokens
            self.world.tokens.add(token)
            known.hold(session.id, token)
            push = known.push
            job = Reserved(job_id, token, push.run, known.attempts + 1, known.uncharged, known.crashes, push.spec)
            self.world.hands.append((session, job))
        if token and self.chance(2):
            assert self.world.wait(self.world.broker.call("take", (session.id, [job_id]))) == [token]

    def renew(self) -> None:
        session = self.worker()
        before_ms = self.world.now_ms()
        answer = session.renew(make_vitals())
        assert answer.lost != self.lives(session)
        if not answer.lost:
            self.world.redis.sessions[session.id] = before_ms + LEASE_MS
            assert answer.cancelled == self.world.redis.cancelled(session.id)

    def keep(self) -> None:
        """Say which jobs the worker still has, as it does when it hears of a new epoch; it has lost some."""
        session = self.worker()
        tokens = [job.token for owner, job in self.holds() if owner is session and not self.chance(3)]
        if self.lives(session):
            self.world.wait(session.keep(tokens))
            self.world.redis.keep(session.id, str(self.world.broker.epoch), tokens)

    def rouse(self) -> None:
        self.world.wait(self.worker().rouse(QUEUES))

    def replace_worker(self) -> None:
        number = self.random.randint(0, 1)
        gone, lives = self.sessions[number], self.lives(self.sessions[number])
        if lives and self.chance(2):
            self.abandon(gone)
        self.world.wait(gone.close())
        if self.lives(gone):
            self.world.redis.end_session(gone.id)
        self.sessions[number] = self.world.open_session()

    def abandon(self, session: Session) -> None:
        finished = [Finished(job.id, job.token, Release()) for owner, job in self.holds() if owner is session]
        before_ms = self.world.now_ms()
        session.abandon(finished)
        self.world.redis.finish(session.id, finished, (before_ms, before_ms))
        self.world.became_due(self.world.observe(), before_ms, self.world.now_ms())
        self.world.redis.end_session(session.id)

    # Upkeep

    def let_time_pass(self) -> None:
        self.world.advance(self.random.choice([500, 2_000, 4_000]))
        if self.chance(2):
            before_ms = self.world.now_ms()
            self.world.wait(self.world.broker.promote_due())
            self.world.became_due(self.world.observe(), before_ms, self.world.now_ms())
        if not self.chance(3):
            self.world.reap()

    def let_leases_run_out(self) -> None:
        """Nobody renews; the reaper looks often enough."""
        for _ in range(4):
            self.world.advance(4_000)
            self.world.reap()

    def let_tombstones_pass(self) -> None:
        self.world.advance(20_000)
        for job_id in self.world.redis.tombstones:
            self.world.client.delete(f"{{qq}}:done:{job_id}")
        self.world.redis.tombstones.clear()

    def record(self) -> None:
        self.world.record()

    def forget(self) -> None:
        forgotten = self.world.wait(self.world.broker.forget(self.world.position()))
        assert forgotten == self.world.redis.forget(self.world.recorded)

    def discard(self) -> None:
        """Say of a job that a run before its own has ended, which history knows."""
        job_id = self.one(sorted(one for one, row in self.world.rows.items() if row.run > 1))
        if job_id:
            run = self.world.rows[job_id].run - 1
            removed = self.world.redis.discard(job_id, run)
            assert self.world.wait(self.world.broker.discard([(job_id, run)])) == removed
            if removed:
                del self.world.story.states[job_id]

    def rescue(self) -> None:
        """Push what history knows as unfinished and Redis does not know, as jobs/rescue.py does."""
        self.world.record()
        for job_id in self.world.unfinished():
            known, row = self.world.redis.jobs.get(job_id), self.world.rows[job_id]
            if row.version and (known is None or known.push.run < row.run):
                self.world.push_recovered(job_id)

    # What goes wrong

    def something_arrives_late(self) -> None:
        sent = [item for item in self.world.broker.sent if item[0] in LATE_SCRIPTS][-3 * RECENT :]
        item = self.one(sent)
        if not item or item[2] != str(self.world.broker.epoch):
            return
        script, request, epoch = item
        before_ms = self.world.now_ms()
        try:
            answer = self.world.wait(scripts.run(self.world.broker.client, script, request, epoch))
        except SessionLost:
            assert request[0] not in self.world.redis.sessions
            return
        if script == "enqueue":
            deadline_ms, _, (fields,) = request
            self.world.pushed(self._read(fields), answer[0], before_ms, deadline_ms)

    def _read(self, fields: tuple[Any, ...]) -> Push:
        job_id, run, _, _, _, due_ms, _, _, attempts, uncharged, crashes, recoveries, checkpoint, version, end = fields
        return Push(
            spec=self.world.specs[job_id], run=run, attempts=attempts, uncharged=uncharged, crashes=crashes,
            recoveries=recoveries, checkpoint=checkpoint, version=version, due_ms=due_ms, cancelled=end,
        )  # fmt: skip

    def somebody_believes_in_an_older_epoch(self) -> None:
        if item := self.one(self.world.broker.sent[-3 * RECENT :]):
            with pytest.raises(EpochChanged):
                self.world.wait(
                    scripts.run(self.world.broker.client, item[0], item[1], str(self.world.broker.epoch - 1))
                )

    def damage(self) -> None:
        """Damage a job; whoever comes across it sets it aside, and the reconciler puts it back."""
        world, name = self.world, self.random.choice("svagc")
        live = [one for one, job in world.redis.jobs.items() if job.state not in FINAL and one in world.rows]
        job_id = self.one(sorted(live))
        if not job_id or world.older:
            return
        job = world.redis.jobs[job_id]
        if self.chance(2):
            world.client.hdel(f"{{qq}}:job:{job_id}", name)
        else:
            world.client.hset(f"{{qq}}:job:{job_id}", name, self.random.choice(["", "-1", "x", "1e3"]))
        assert world.wait(world.broker.cancel([job_id])) == [Cancelling.UNKNOWN]
        if name == "s":  # nobody knows what it was
            world.redis.miscounted[world.specs[job_id].queue, str(job.state)] += 1
        del world.redis.jobs[job_id]
        assert [type(event) for event in world.observe()] == [Quarantined]
        world.record()
        set_aside = world.wait(world.broker.set_aside(world.position()))
        assert job_id in set_aside
        world.wait(world.broker.put_back(set_aside.values()))
        assert world.push_recovered(job_id) == "NEW"

    def start_a_new_server(self) -> None:
        self.world.reconcile()

    def lose_everything(self) -> None:
        self.world.wipe()

    def keep_a_copy(self) -> None:
        self.world.keep_copy()

    def come_back_with_an_older_copy(self) -> None:
        if self.world.copy:
            self.world.restore_copy()

    # The end

    def finish_everything(self) -> None:
        """Let all workers die, run all jobs to their end, and let the recorder do its work: nothing is left."""
        world = self.world
        world.reconcile()
        while world.redis.sessions:
            self.let_leases_run_out()
        # An older copy may have had ends that were not recorded when it was made, and never will be.
        world.record()
        self.forget()
        self.let_tombstones_pass()
        self.rescue()
        session = world.open_session()
        while any(job.state not in FINAL for job in world.redis.jobs.values()):
            world.advance(4_000)
            session.renew(make_vitals())
            jobs = world.step(session, [], 100, QUEUES, suspects_max=100)
            for job in jobs:
                self.start_one(session, job)
            world.step(session, [Finished(job.id, job.token, Complete("1")) for job in jobs], 0, QUEUES)
        world.wait(session.close())
        world.redis.end_session(session.id)
        world.compare()
        world.record()
        assert not world.unfinished()
        self.forget()
        world.empty(world.compare())

    def close(self) -> None:
        for session in self.sessions:
            self.world.wait(session.close())
        self.world.close()
