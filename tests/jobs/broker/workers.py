"""What workers do, each act drawn at random and compared with the model."""

from __future__ import annotations

import pytest

from jobs.broker import Finished, Report, Reserved, Session
from jobs.broker.scripts import SessionLost
from jobs.clock import now_ms
from jobs.event import Due, Logged, Progressed
from jobs.job import LogLevel, Progress, Reason, State
from jobs.outcome import Cancel, Complete, Crash, Die, Outcome, Release, RetryLater, Snooze
from tests.factories import make_vitals
from tests.jobs.broker.draw import Draw
from tests.jobs.broker.machine import LEASE_MS, QUEUES, json
from tests.jobs.broker.model import WAITING
from tests.jobs.broker.steps import FAILURE

OUTCOMES: list[Outcome] = [
    Complete("1"), RetryLater(FAILURE, 0), RetryLater(FAILURE, 5_000), Snooze(1_000), Release(), Cancel(),
    Die(Reason.NOT_RETRYABLE, FAILURE), *[Crash(FAILURE)] * 4,
]  # fmt: skip
SUBSETS = [QUEUES, QUEUES, ["a"], ["b", "a"]]


class Workers(Draw):
    """They reserve, start, report and finish, in time or too late, twice or never."""

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
