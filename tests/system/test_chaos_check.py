"""The checker of the chaos run, shown an honest run and lies of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.system.chaos.check import check
from tests.system.chaos.client import Ack, Answers, CancelAck
from tests.system.chaos.evidence import Evidence
from tests.system.chaos.ledger import Line
from tests.system.chaos.plan import PlannedJob
from tests.system.chaos.subscriber import GAP, Seen

E = 1_000_000
"""Versions begin with the epoch."""

Lie = Callable[[Evidence], object]


def moment(second: float) -> str:
    return f"2030-01-01T00:00:{second:06.3f}+00:00"


SECOND_0 = 1_893_456_000.0


def recorded(number: int, task: str, state: str, *attempts: str, **fields: Any) -> dict[str, Any]:
    nodes = [{"run": 1, "number": place, "state": state, "error": None} for place, state in enumerate(attempts, 1)]
    return {
        "id": f"job-{number}", "task": task, "state": state, "run": 1, "version": "0", "attemptCount": len(attempts),
        "recoveries": 0, "crashes": 0, "reason": None, "args": {"number": number}, "error": None,
        "result": number if state == "COMPLETED" else None, "createdAt": moment(1), "finishedAt": moment(5),
        "scheduledAt": None, "cancelRequested": False, "attempts": {"nodes": nodes},
    } | fields  # fmt: skip


def ran(number: int, *whats: str, at_s: float = 2.0) -> list[Line]:
    """Lines of the ledger; each `begin` is the next attempt."""
    lines, attempt = [], 0
    for what in whats:
        attempt += what == "begin"
        lines.append(Line(what, f"job-{number}", 1, attempt, number, 100, SECOND_0 + at_s))
    return lines


def seen(number: int, *kinds: str) -> list[Seen]:
    return [Seen(f"Job{kind}", f"job-{number}", 1, E + place) for place, kind in enumerate(kinds)]


def honest() -> Evidence:
    """A run in which a worker died, a job was cancelled, a pill was found, and all was told as it was."""
    tasks = {1: "quick", 2: "slow", 3: "poison", 4: "waiting", 5: "hanging", 6: "keyed", 7: "keyed"}
    acts = {4: "cancel"}
    keys = {6: "key", 7: "key"}
    timed_out = {"type": "TIMEOUT"}
    history = [
        recorded(1, "quick", "COMPLETED", "COMPLETED"),
        recorded(2, "slow", "COMPLETED", "LOST", "COMPLETED", crashes=1),
        recorded(3, "poison", "DEAD", "LOST", "LOST", "LOST", reason="POISON", crashes=3),
        recorded(4, "waiting", "CANCELLED"),
        recorded(5, "hanging", "DEAD", "FAILED", reason="ATTEMPTS_EXHAUSTED", error=timed_out),
        recorded(6, "keyed", "COMPLETED", "COMPLETED"),
        recorded(7, "keyed", "COMPLETED", "COMPLETED", finishedAt=moment(9)),
    ]
    record = [
        *seen(1, "Enqueued", "Started", "Completed"),
        *seen(2, "Enqueued", "Started", "Reaped", "Started", "Completed"),
        *seen(3, "Enqueued", "Started", "Reaped", "Started", "Reaped", "Started", "Died"),
        *seen(4, "Enqueued", "Cancelled"),
        *seen(5, "Enqueued", "Started", "Died"),
        *seen(6, "Enqueued", "Started", "Completed"),
        *seen(7, "Enqueued", "Started", "Completed"),
    ]
    answers = Answers(cancelled={"job-4": CancelAck("CANCELLED", SECOND_0 + 2)})
    for number in tasks:
        answers.acks[number].append(Ack(f"job-{number}", duplicate=False, at_s=SECOND_0))
    return Evidence(
        jobs=[PlannedJob(n, task, 0.0, act=acts.get(n, ""), key=keys.get(n, "")) for n, task in tasks.items()],
        answers=answers,
        history={job["id"]: job for job in history},
        ledger=[
            *ran(1, "begin", "end"),
            *ran(2, "begin", "begin", "end"),
            *ran(3, "begin", "kill", "begin", "kill", "begin", "kill"),
            *ran(5, "begin"),
            *ran(6, "begin", "end"),
            *ran(7, "begin", "end", at_s=6.0),
        ],
        subscribers=[record, list(record)],
        counts={"chaos": {"active": 0, "queued": 0}},
        keys={"epoch": 60, "leases": 100},
    )


def job(evidence: Evidence, number: int) -> dict[str, Any]:
    return evidence.history[f"job-{number}"]


def change(evidence: Evidence, number: int, **fields: Any) -> None:
    job(evidence, number).update(fields)


def attempts(evidence: Evidence, number: int) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = job(evidence, number)["attempts"]["nodes"]
    return nodes


def drop(evidence: Evidence, kind: str, number: int) -> None:
    """Let the first subscriber miss an event."""
    record = evidence.subscribers[0]
    del record[next(i for i, item in enumerate(record) if (item.kind, item.job) == (f"Job{kind}", f"job-{number}"))]


def forget(evidence: Evidence, what: str, number: int) -> None:
    """Take the last such line out of the ledger."""
    place = max(i for i, line in enumerate(evidence.ledger) if (line.what, line.number) == (what, number))
    del evidence.ledger[place]


def add(evidence: Evidence, kind: str, number: int, version: int) -> None:
    evidence.subscribers[0].append(Seen(f"Job{kind}", f"job-{number}", 1, version))


def complete_in_spite(evidence: Evidence, *, began_s: float, ended_s: float) -> None:
    """Let the job that was to be cancelled complete, where the answer was that it ran."""
    evidence.answers.cancelled["job-4"] = CancelAck("ACTIVE", SECOND_0 + 2)
    attempt = {"startedAt": moment(began_s), "finishedAt": moment(ended_s)}
    nodes = [{"run": 1, "number": 1, "state": "COMPLETED", "error": None} | attempt]
    ended = {"attemptCount": 1, "attempts": {"nodes": nodes}, "finishedAt": moment(ended_s)}
    change(evidence, 4, state="COMPLETED", result=4, **ended)
    evidence.ledger.extend(ran(4, "begin", "end", at_s=began_s))  # type: ignore[attr-defined]  # it is a list


LIES: dict[str, tuple[Lie, str]] = {
    "an accepted job is gone": (lambda e: e.history.pop("job-1"), "history does not know it"),
    "a job was never accepted": (lambda e: e.answers.acks.pop(1), "never accepted"),
    "a job that nobody was told of": (
        lambda e: e.history.update({"job-99": recorded(99, "quick", "COMPLETED", "COMPLETED") | {"id": "job-99"}}),
        "nobody was told of it",
    ),
    "one idempotency key, two jobs": (
        lambda e: e.answers.acks[1].append(Ack("job-2", duplicate=False, at_s=0)),
        "one idempotency key, and 2 jobs",
    ),
    "a job that has not ended": (lambda e: change(e, 1, state="QUEUED"), "has not ended"),
    "a job that died of nothing": (lambda e: change(e, 1, state="DEAD", reason="POISON"), "does not explain"),
    "a neighbour of a pill that died": (lambda e: change(e, 2, state="DEAD", reason="POISON"), "does not explain"),
    "a cancelled job that completed": (lambda e: change(e, 4, state="COMPLETED", result=4), "does not explain"),
    "a cancelled job that was recovered and completed": (
        lambda e: change(e, 4, state="COMPLETED", result=4, recoveries=1), "does not explain"
    ),
    "a job that began long after it was to be cancelled": (
        lambda e: complete_in_spite(e, began_s=14.5, ended_s=15.0), "began 12.50 s after its cancel"
    ),
    "a job that ran on long after it was to be cancelled": (
        lambda e: complete_in_spite(e, began_s=1.0, ended_s=15.0), "does not explain"
    ),
    "a cancelled job that began": (
        lambda e: e.ledger.extend(ran(4, "begin", at_s=2.5)), "began 0.50 s after its cancel"
    ),
    "another job's result": (lambda e: change(e, 1, result=2), "has the result"),
    "a pill that was called so too early": (lambda e: change(e, 3, crashes=2), "killed 3 processes"),
    "a pill that killed a fourth time": (
        lambda e: e.ledger.append(Line("kill", "job-3", 1, 3, 3, 100, SECOND_0)), "killed 4 processes"
    ),
    "a hanging job that did not end by its timeout": (
        lambda e: change(e, 5, error={"type": "ValueError"}), "not by its timeout"
    ),
    "COMPLETED, and it never ran to its end": (lambda e: forget(e, "end", 1), "never ran to its end"),
    "an attempt that is not shown": (lambda e: e.ledger.extend(ran(1, "begin")), "more attempts began than are shown"),
    "an attempt that never began": (lambda e: forget(e, "begin", 1), "never began"),
    "an attempt that is still ACTIVE": (lambda e: attempts(e, 2)[0].update(state="ACTIVE"), "is ACTIVE"),
    "two attempts that completed": (lambda e: attempts(e, 2)[0].update(state="COMPLETED"), "one COMPLETED attempt"),
    "an attempt that completed where the job died": (
        lambda e: attempts(e, 5)[0].update(state="COMPLETED"), "completed and the run did not"
    ),
    "a wrong number of attempts": (lambda e: change(e, 2, attemptCount=3), "do not go up to"),
    "attempts with a hole": (lambda e: attempts(e, 2)[0].update(number=5), "the attempts are [5, 2]"),
    "ran twice without a reason": (lambda e: e.ledger.extend(ran(1, "end")), "more than once"),
    "a key of two jobs at once": (lambda e: change(e, 6, finishedAt=moment(8)), "which has the same key"),
    "an end that was not seen": (lambda e: drop(e, "Completed", 1), "were not seen"),
    "a beginning that was not seen": (lambda e: drop(e, "Enqueued", 1), "is the first that was seen"),
    "an event in the middle that was not seen": (lambda e: drop(e, "Reaped", 2), "something is missing"),
    "an event after the end": (lambda e: add(e, "Started", 1, E + 3), "came after its end"),
    "two ends of a run": (lambda e: add(e, "Completed", 1, E + 3), "came after its end"),
    "an event that came twice": (lambda e: add(e, "Started", 5, E + 1), "came after version"),
    "a log line from before": (lambda e: add(e, "Logged", 5, E), "came after version"),
    "another end than history tells of": (lambda e: change(e, 4, state="COMPLETED", result=4), "ended as CANCELLED"),
    "a new epoch without a gap": (
        lambda e: e.subscribers[0].insert(2, Seen("JobReaped", "job-1", 1, 2 * E)), "something is missing"
    ),
    "a queue that holds what has ended": (lambda e: e.counts["chaos"].update(queued=-1), "says that it holds"),
    "a job left in Redis": (lambda e: e.keys.update({"job:job-1": 300}), "keys of jobs that have ended"),
    "memory that nobody gives back": (lambda e: e.keys.update(leases=200_000), "bytes beside the stream"),
    "a process that ended otherwise": (lambda e: e.product_faults.append("worker-1 ended with 1"), "ended with 1"),
    "an answer that never came": (lambda e: e.answers.given_up.append("refused for good"), "refused for good"),
}  # fmt: skip


def test_an_honest_run_is_believed() -> None:
    assert check(honest()) == []


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(name: str) -> None:
    lie, said = LIES[name]
    evidence = honest()
    lie(evidence)
    found = check(evidence)
    assert any(said in text for text in found), found


def test_what_is_missing_is_excused_by_a_gap_that_was_announced() -> None:
    evidence = honest()
    record = evidence.subscribers[0]
    drop(evidence, "Reaped", 2)
    place = next(i for i, item in enumerate(record) if item.job == "job-2") + 2
    record.insert(place, Seen(GAP, "BROKER_LOST"))
    assert check(evidence) == []
    # A gap excuses what is missing where it stands, and nothing else.
    record.insert(0, record.pop(place))
    assert any("something is missing" in text for text in check(evidence))


def test_a_job_that_ended_before_it_heard_of_its_cancel_is_no_lie() -> None:
    evidence = honest()
    complete_in_spite(evidence, began_s=1.5, ended_s=2.5)
    for record in evidence.subscribers:
        place = next(i for i, item in enumerate(record) if (item.kind, item.job) == ("JobCancelled", "job-4"))
        record[place : place + 1] = seen(4, "Enqueued", "Started", "CancelRequested", "Completed")[1:]  # type: ignore[index]  # it is a list
    assert check(evidence) == []


def test_attempts_that_history_lost_are_excused_by_a_recovery() -> None:
    evidence = honest()
    evidence.ledger.extend(ran(1, "begin"))
    assert check(evidence)
    change(evidence, 1, recoveries=1)
    assert check(evidence) == []


def test_what_happened_between_a_copy_of_redis_and_its_return_may_be_forgotten() -> None:
    evidence = honest()
    evidence.ledger.extend([*ran(1, "begin", at_s=3.0), *ran(3, "kill", at_s=3.0)])  # type: ignore[attr-defined]  # it is a list
    assert len(check(evidence)) == 2
    evidence.forgotten = [(SECOND_0 + 2.5, SECOND_0 + 3.5)]
    assert check(evidence) == []
    evidence.forgotten = [(SECOND_0 + 3.5, SECOND_0 + 4.5)]
    assert len(check(evidence)) == 2


def test_a_pill_whose_worker_was_lost_before_its_first_line_is_no_lie() -> None:
    evidence = honest()
    evidence.ledger = [line for line in evidence.ledger if line.number != 3 or line.attempt == 3]
    assert check(evidence) == []
    attempts(evidence, 3)[0]["state"] = "RELEASED"
    assert any("killed 1 processes" in text for text in check(evidence))


def test_an_attempt_that_ended_before_its_first_line_is_no_lie() -> None:
    evidence = honest()
    forget(evidence, "begin", 2)
    evidence.ledger = [replace(line, attempt=2) if line.number == 2 else line for line in evidence.ledger]
    assert check(evidence) == []


def test_a_kill_that_went_with_the_lease_of_its_worker_is_not_counted() -> None:
    evidence = honest()
    change(
        evidence, 3, **{key: recorded(3, "poison", "DEAD", *["LOST"] * 4)[key] for key in ("attempts", "attemptCount")}
    )
    evidence.ledger.extend(ran(3, *["begin", "kill"] * 4)[-2:])  # type: ignore[attr-defined]  # it is a list
    for record in evidence.subscribers:
        place = next(i for i, item in enumerate(record) if (item.kind, item.job) == ("JobDied", "job-3"))
        whole = seen(3, "Enqueued", *["Started", "Reaped"] * 3, "Started", "Died")
        record[place : place + 1] = whole[6:]  # type: ignore[index]  # it is a list
    assert check(evidence) == []
    change(evidence, 3, crashes=4)
    assert any("killed 4 processes" in text for text in check(evidence))
