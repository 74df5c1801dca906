"""Random sequences of everything that can happen to jobs, compared with the table of transitions."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jobs.broker import Broker, Finished, Push, Reserved, Session, keys
from jobs.broker.scripts import SessionLost
from jobs.event import (
    START,
    Cancelled,
    CancelRequested,
    Completed,
    Died,
    Due,
    Enqueued,
    Reaped,
    Released,
    RetryingLater,
    Snoozed,
    Started,
)
from jobs.job import FINAL, TRANSITIONS, Failure, JobSpec, Priority, Reason, State, Verb
from jobs.outcome import Cancel, Complete, Die, Release, RetryLater, Snooze
from tests.factories import make_settings, make_spec, make_vitals, make_worker_info
from tests.redis_server import RedisServer

QUEUES = ["a", "b"]
FAILURE = Failure(type="ValueError", message="no")
OUTCOMES = st.sampled_from(
    [Complete("1"), RetryLater(FAILURE, 0), RetryLater(FAILURE, 5_000), Snooze(1_000), Release(), Cancel(),
     Die(Reason.NOT_RETRYABLE, FAILURE)]
)  # fmt: skip
VERB = {
    Due: (Verb.DUE, State.QUEUED),
    Started: (Verb.START, State.ACTIVE),
    Completed: (Verb.COMPLETE, State.COMPLETED),
    RetryingLater: (Verb.RETRY_LATER, State.RETRYING),
    Snoozed: (Verb.SNOOZE, State.SCHEDULED),
    Released: (Verb.RELEASE, State.QUEUED),
    Reaped: (Verb.REAP, State.QUEUED),
    Died: (Verb.KILL, State.DEAD),
    Cancelled: (Verb.CANCEL, State.CANCELLED),
}


class Jobs(RuleBasedStateMachine):
    """Two worker sessions, two queues, and a clock that only moves when told to."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.offset_ms = 0
        self.specs: dict[str, JobSpec] = {}
        self.runs: dict[str, int] = {}
        self.sessions: list[Session] = []
        self.reserved: list[tuple[Session, Reserved]] = []
        self.started: list[tuple[Session, Reserved]] = []
        self.over: list[tuple[Session, Reserved]] = []

    def wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    @initialize()
    def open(self) -> None:
        self.broker: Broker = self.wait(Broker.open(self.url, make_settings()))
        self.wait(self.broker.client.flushall())
        self.wait(self.broker.raise_epoch(1))
        self.sessions = [self.wait(self.broker.open_session(make_worker_info(*QUEUES))) for _ in range(2)]

    @rule(queue=st.sampled_from(QUEUES), priority=st.sampled_from(Priority), delay_ms=st.sampled_from([0, 0, 3_000]))
    def push(self, queue: str, priority: Priority, delay_ms: int) -> None:
        due_ms = self.wait(self.broker.now_ms()) + self.offset_ms + delay_ms if delay_ms else 0
        spec = make_spec(queue=queue, priority=priority, scheduled_ms=due_ms)
        self.specs[spec.id], self.runs[spec.id] = spec, 1
        self.wait(self.broker.push([Push(spec=spec)], deadline_ms=2**52))

    @rule(data=st.data(), again=st.booleans())
    def push_known(self, data: st.DataObject, again: bool) -> None:
        if self.specs:
            job_id = data.draw(st.sampled_from(sorted(self.specs)))
            live = self.wait(self.broker.jobs([job_id]))
            if again and job_id in live and live[job_id].state in (State.DEAD, State.CANCELLED):
                self.runs[job_id] += 1
            self.wait(self.broker.push([Push(spec=self.specs[job_id], run=self.runs[job_id])], deadline_ms=2**52))

    @rule(number=st.integers(0, 1), want=st.integers(0, 4), repeat=st.booleans())
    def reserve(self, number: int, want: int, repeat: bool) -> None:
        session = self.sessions[number]
        lane = session.lane(0)
        try:
            step = self.wait(lane.step([], want, QUEUES))
            if repeat:
                lane._request -= 1
                again = self.wait(lane.step([], want, QUEUES))
                assert [job.token for job in again.reserved] == [job.token for job in step.reserved]
        except SessionLost:
            return
        self.reserved += [(session, job) for job in step.reserved]

    @rule(repeat=st.booleans())
    def start(self, repeat: bool) -> None:
        for session, job in self.reserved:
            try:
                answer = self.wait(session.start([job]))
                assert not repeat or self.wait(session.start([job])) == answer
            except SessionLost:
                continue
            (self.started if answer == [True] else self.over).append((session, job))
        self.reserved = []

    @rule(outcome=OUTCOMES, data=st.data())
    def finish(self, outcome: Any, data: st.DataObject) -> None:
        if self.started:
            session, job = self.started.pop(data.draw(st.integers(0, len(self.started) - 1)))
            self.give_back(session, job, outcome)
            self.over.append((session, job))

    @rule(outcome=OUTCOMES, data=st.data())
    def finish_what_is_over(self, outcome: Any, data: st.DataObject) -> None:
        if self.over:
            session, job = data.draw(st.sampled_from(self.over))
            before = self.wait(self.broker.jobs([job.id]))
            stale = self.give_back(session, job, outcome)
            assert stale is None or stale == [job.id]
            after = self.wait(self.broker.jobs([job.id]))
            assert [item.version for item in after.values()] == [item.version for item in before.values()]

    def give_back(self, session: Session, job: Reserved, outcome: Any) -> list[str] | None:
        try:
            stale: list[str] = self.wait(session.lane(0).step([Finished(job.id, job.token, outcome)], 0, QUEUES)).stale
        except SessionLost:
            return None
        return stale

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.specs:
            self.wait(self.broker.cancel([data.draw(st.sampled_from(sorted(self.specs)))]))

    @rule(ms=st.sampled_from([500, 2_000, 4_000]))
    def let_time_pass(self, ms: int) -> None:
        self.offset_ms += ms
        self.wait(self.broker.client.set(keys.CLOCK, self.offset_ms))
        self.wait(self.broker.promote_due())
        self.wait(self.broker.reap())

    @rule(number=st.integers(0, 1))
    def renew(self, number: int) -> None:
        self.sessions[number].renew(make_vitals())

    @rule(number=st.integers(0, 1))
    def replace_worker(self, number: int) -> None:
        gone = self.sessions[number]
        self.wait(gone.close())
        self.reserved = [pair for pair in self.reserved if pair[0] is not gone]
        self.over += [pair for pair in self.started if pair[0] is gone]
        self.started = [pair for pair in self.started if pair[0] is not gone]
        self.over = [pair for pair in self.over if pair[0] is not gone]
        self.sessions[number] = self.wait(self.broker.open_session(make_worker_info(*QUEUES)))

    @invariant()
    def history_follows_the_table(self) -> None:
        if not self.specs:
            return
        states: dict[str, State] = {}
        versions: dict[str, tuple[int, int]] = {}
        for _, event in self.wait(self.broker.stream.read(START, 100_000)):
            self.check(event, states, versions)
        live = self.wait(self.broker.jobs(sorted(self.specs)))
        assert {job_id: job.state for job_id, job in live.items()} == states
        self.counters_agree(states)
        self.nothing_is_stranded({job_id for job_id, state in states.items() if state not in FINAL})

    def check(self, event: Any, states: dict[str, State], versions: dict[str, tuple[int, int]]) -> None:
        assert (event.run, event.version) > versions.get(event.job, (0, 0))
        versions[event.job] = (event.run, event.version)
        state = states.get(event.job)
        if isinstance(event, Enqueued):
            assert state is None or state in FINAL
            states[event.job] = event.state
            return
        assert state is not None
        assert state not in FINAL
        if isinstance(event, CancelRequested):
            assert state is State.ACTIVE
            return
        verb, target = VERB[type(event)]
        if verb is Verb.KILL and event.reason is Reason.POISON:
            verb = Verb.REAP
        assert state in TRANSITIONS[verb][0], f"{verb} from {state}"
        assert target in TRANSITIONS[verb][1]
        states[event.job] = target

    def counters_agree(self, states: dict[str, State]) -> None:
        counted = self.wait(self.broker.counts(QUEUES))
        for queue in QUEUES:
            expected = Counter(
                state for job_id, state in states.items() if self.specs[job_id].queue == queue and state not in FINAL
            )
            assert {state: number for state, number in counted[queue].items() if number} == expected

    def nothing_is_stranded(self, unfinished: set[str]) -> None:
        client = self.broker.client
        places: set[bytes] = set(self.wait(client.zrange("{qq}:due", 0, -1)))
        for queue in QUEUES:
            for priority in Priority:
                places |= set(self.wait(client.zrange(f"{{qq}}:ready:{queue}:{int(priority)}", 0, -1)))
            places |= set(self.wait(client.zrange(f"{{qq}}:suspects:{queue}", 0, -1)))
        for key in self.wait(client.keys("{qq}:held:*")):
            places |= self.wait(client.smembers(key))
        assert unfinished <= {place.decode() for place in places}

    def teardown(self) -> None:
        for session in self.sessions:
            self.wait(session.close())
        if hasattr(self, "broker"):
            self.wait(self.broker.close())
        self.loop.close()


def test_any_sequence_follows_the_table(redis_server: RedisServer) -> None:
    machine = type("Machine", (Jobs,), {"url": redis_server.url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
