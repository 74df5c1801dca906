"""Looks at a real Redis: all keys at once, and the stream of events against the table of transitions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from jobs.event import (
    Cancelled,
    CancelRequested,
    Completed,
    Died,
    Due,
    Enqueued,
    JobEvent,
    Logged,
    Progressed,
    Quarantined,
    Reaped,
    Released,
    RetryingLater,
    Snoozed,
    Started,
)
from jobs.job import FINAL, TRANSITIONS, Reason, State, Verb
from tests.jobs.broker.model import Entry

VERB: dict[type, tuple[Verb, State]] = {
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
LASTING = {
    "epoch",
    "run",
    "cleared",
    "began",
    "reconciled",
    "clock",
    "events",
    "token",
    "turn",
    "turn:queues",
    "reaper",
    "left",
    "processes",
}
"""Keys that do not go away, whatever is going on."""
PASSING = {"done", "wake", "quarantine", "process"}
"""Keys that expire."""
KINDS = {
    "job", "ready", "suspects", "due", "leases", "reaping", "session", "held", "cancel", "count", "finals", "lost"
}  # fmt: skip

_decode = msgspec.msgpack.Decoder(tuple[int, list[JobEvent]]).decode


@dataclass
class Snapshot:
    """All keys of a Redis, without their common prefix."""

    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[tuple[str, ...], set[str]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    tombstones: dict[str, int] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


def look(client: redis.Redis) -> Snapshot:
    """Read everything. Every key has to be one of those that are documented."""
    found = Snapshot()
    names = [key.decode().removeprefix("{qq}:") for key in client.keys("*")]
    read: list[tuple[str, list[str]]] = []
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            kind, *rest = name.split(":")
            assert name in LASTING or kind in KINDS | PASSING, f"{name} is not documented"
            key = f"{{qq}}:{name}"
            if kind in ("job", "count"):
                pipeline.hgetall(key)
            elif kind in ("ready", "suspects", "due", "leases"):
                pipeline.zrange(key, 0, -1)
            elif kind in ("held", "cancel"):
                pipeline.smembers(key)
            elif kind == "done":
                pipeline.getex(key, persist=True)  # it goes when the test says so, however slow the machine is
            else:
                found.keys.add(name)
                continue
            read.append((kind, rest))
        answers: list[Any] = pipeline.execute()
    for (kind, rest), answer in zip(read, answers, strict=True):
        if kind == "job":
            found.jobs[rest[0]] = {name.decode(): value.decode() for name, value in answer.items()}
        elif kind == "count":
            found.counts |= {(rest[0], state.decode()): int(number) for state, number in answer.items()}
        elif kind == "done":
            found.tombstones[rest[0]] = int(answer)
        elif kind == "leases":
            found.sessions = {item.decode() for item in answer}
        else:
            found.places[kind, *rest] = {item.decode() for item in answer}
    return found


class Story:
    """What the events say happened to each job. Restored along with a copy of Redis."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.versions: dict[str, tuple[int, int]] = {}
        self.entry: Entry = (0, 0)

    def read(self, client: redis.Redis) -> list[tuple[Entry, JobEvent]]:
        """Check and return the events since the last time."""
        ms, seq = self.entry
        new: list[tuple[Entry, JobEvent]] = []
        for entry_id, fields in client.xrange("{qq}:events", min=f"({ms}-{seq}"):
            first, second = entry_id.split(b"-")
            self.entry = (int(first), int(second))
            new += [(self.entry, event) for event in _decode(fields[b"e"])[1]]
        for _, event in new:
            self.check(event)
        return new

    def ended(self, event: JobEvent) -> bool:
        """Tell whether the event ended its run."""
        return isinstance(event, Completed | Died | Cancelled)

    def check(self, event: JobEvent) -> None:
        state, seen = self.states.get(event.job), self.versions.get(event.job, (0, 0))
        if isinstance(event, Progressed | Logged):
            assert (event.run, event.version) == seen
            assert state is State.ACTIVE
            return
        if isinstance(event, Quarantined):
            self.states.pop(event.job, None)
            return
        assert (event.run, event.version) > seen
        self.versions[event.job] = (event.run, event.version)
        if isinstance(event, Enqueued):
            assert state is None or state in FINAL or event.run > seen[0]
            self.states[event.job] = event.state
            return
        assert state is not None
        assert state not in FINAL
        if isinstance(event, CancelRequested):
            assert state is State.ACTIVE
            return
        verb, target = VERB[type(event)]
        if isinstance(event, Died) and event.reason is Reason.POISON:
            verb = Verb.REAP
        assert state in TRANSITIONS[verb][0], f"{verb} from {state}"
        assert target in TRANSITIONS[verb][1]
        self.states[event.job] = target


def dump(client: redis.Redis) -> dict[bytes, tuple[int, bytes]]:
    """Copy all keys, with what is left of their time."""
    copy = {}
    for key in client.keys("*"):
        left, value = client.pttl(key), client.dump(key)
        if value is not None:
            copy[key] = (max(0, left), value)
    return copy


def restore(client: redis.Redis, copy: dict[bytes, tuple[int, bytes]]) -> None:
    """Replace everything by the copy."""
    client.flushall()
    for key, (left, value) in copy.items():
        client.restore(key, left, value)
