"""The checker: compares the witnesses of a run and says, one sentence each, where they contradict the promises.

Pure. test_chaos_check.py shows it lies of every kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from tests.system.chaos import ledger
from tests.system.chaos.cancel import CLOCK_S, begun_after, may_complete, seconds
from tests.system.chaos.client import Ack
from tests.system.chaos.evidence import LASTING, Evidence
from tests.system.chaos.plan import PlannedJob
from tests.system.chaos.subscriber import GAP, Seen
from tests.system.chaos.task import digest, text_of

FINAL = {"COMPLETED", "CANCELLED", "DEAD"}
FINAL_EVENTS = {"JobCompleted": "COMPLETED", "JobCancelled": "CANCELLED", "JobDied": "DEAD"}
UNVERSIONED = {"JobProgressed", "JobLogged"}
BEFORE_ALL = -1
PROBE = "probe"
KEYS_MAX_BYTES = 64 * 1024

COMPLETED = ("COMPLETED", None)
EXHAUSTED = ("DEAD", "ATTEMPTS_EXHAUSTED")
ENDS: dict[str, set[tuple[str, str | None]]] = {
    "failing": {EXHAUSTED},
    "hanging": {EXHAUSTED},
    "hanging_thread": {EXHAUSTED},
    "stuck": {EXHAUSTED},
    "stalling": {EXHAUSTED},
    # It may have been past its timeout already when the loop was free again.
    "blocking": {COMPLETED, EXHAUSTED},
    "unencodable": {("DEAD", "RESULT_UNENCODABLE")},
    "poison": {("DEAD", "POISON")},
    "crashing": {("DEAD", "POISON")},
    "waiting": {("CANCELLED", None)},
    "endless": {("CANCELLED", None)},
}
"""How jobs of a task may end; the others run to their end."""
POISON_CRASHES = 3


def check(evidence: Evidence) -> list[str]:
    """Return every contradiction; none: all promises were kept."""
    found = [*evidence.product_faults, *evidence.answers.given_up]
    found += _accepted(evidence)
    lines = ledger.by_run(evidence.ledger)
    told = {ack.job for acks in evidence.answers.acks.values() for ack in acks}
    by_number = {job.number: job for job in evidence.jobs}
    planned = {job["id"]: by_number[job["args"]["number"]] for job in evidence.history.values() if job["id"] in told}
    lost = any(seen.kind == GAP and seen.job == "BROKER_LOST" for record in evidence.subscribers for seen in record)
    for job in evidence.history.values():
        if job["task"] == PROBE:
            continue
        if job["id"] not in planned:
            found.append(f"{_name(job)} is in history, and nobody was told of it.")
            continue
        found += _ended(job, planned[job["id"]], evidence)
        ack = evidence.answers.cancelled.get(job["id"])
        found += [f"{_name(job)} {text}" for text in begun_after(ack, lines.get((job["id"], 1), []))]
        for run in range(1, job["run"] + 1):
            wrote = lines.get((job["id"], run), [])
            forgotten = sum(line.what == ledger.BEGIN and not evidence.is_remembered(line) for line in wrote)
            found += _attempts(job, run, wrote, lost=lost, forgotten=forgotten)
    found += _keys_were_unique(evidence, planned)
    for number, record in enumerate(evidence.subscribers, 1):
        found += [f"Subscriber {number}: {text}" for text in _live(record, evidence)]
    found += _left_over(evidence)
    return found


def _name(job: dict[str, Any]) -> str:
    about = f"{job['state']}{'/' + job['reason'] if job['reason'] else ''}"
    more = f"recoveries {job['recoveries']}, crashes {job['crashes']}, attempts {job['attemptCount']}"
    return f"Job {job['args'].get('number')} ({job['task']}, {about}, run {job['run']}, {more}, {job['id']})"


# Acceptance


def _accepted(evidence: Evidence) -> Iterator[str]:
    for job in evidence.jobs:
        acks: Sequence[Ack] = evidence.answers.acks.get(job.number, ())
        if not acks:
            yield f"Job {job.number} ({job.task}) was never accepted."
        ids = {ack.job for ack in acks}
        if len(ids) > 1:
            yield f"Job {job.number} ({job.task}): one idempotency key, and {len(ids)} jobs: {sorted(ids)}."
        for job_id in ids - evidence.history.keys():
            yield f"Job {job.number} ({job.task}) was accepted as {job_id}, and history does not know it."


# Ends


def _ended(job: dict[str, Any], plan: PlannedJob, evidence: Evidence) -> Iterator[str]:
    if job["state"] not in FINAL:
        yield f"{_name(job)} was accepted and has not ended."
        return
    if (job["state"], job["reason"]) not in _allowed(job, plan, evidence):
        yield f"{_name(job)} ended in a way that its task does not explain."
    if job["state"] == "COMPLETED" and job["result"] != _result(plan):
        yield f"{_name(job)} has the result {str(job['result'])[:80]!r}."
    if job["task"] in {"poison", "crashing"}:
        lines = [line for line in evidence.ledger if line.job == job["id"]]
        kills = [line for line in lines if line.what == ledger.KILL]
        known = sum(map(evidence.is_remembered, kills))
        begun = {line.attempt for line in lines if line.what == ledger.BEGIN}
        # Its worker may be lost before its first line, for other reasons than the job.
        nodes = job["attempts"]["nodes"]
        lost = [attempt["number"] for attempt in nodes if attempt["state"] == "LOST"]
        silent = len(set(lost) - begun)
        # A suspect in a process of its own is not charged where its worker loses the lease, also if it killed that one.
        spared = max(0, len(lost) - job["crashes"])
        if (
            job["crashes"] != POISON_CRASHES
            or len(kills) + silent < POISON_CRASHES
            or (known > POISON_CRASHES + spared and not job["recoveries"])
        ):
            yield f"{_name(job)} killed {len(kills)} processes."
    if (
        ENDS.get(job["task"]) == {EXHAUSTED}
        and job["task"] != "failing"
        and (job["error"] or {}).get("type") != "TIMEOUT"
    ):
        yield f"{_name(job)} ended with {job['error']} and not by its timeout."
    if job["id"] in evidence.answers.retried and job["run"] != 2:
        yield f"{_name(job)} was retried by hand."


def _allowed(job: dict[str, Any], plan: PlannedJob, evidence: Evidence) -> set[tuple[str, str | None]]:
    ends = ENDS.get(job["task"], {COMPLETED})
    if plan.act == "cancel" and may_complete(job, evidence.answers.cancelled.get(job["id"])):
        return ends | {COMPLETED}
    return ends


def _result(plan: PlannedJob) -> Any:
    if plan.task in {"large", "huge"}:
        return digest(text_of(plan.number, plan.size))
    if plan.task == "fat":
        return text_of(plan.number, plan.size)
    return plan.number


# Attempts


def _attempts(job: dict[str, Any], run: int, lines: list[ledger.Line], *, lost: bool, forgotten: int) -> Iterator[str]:
    """Compare what history shows of one run with what the task itself wrote down."""
    shown = [attempt for attempt in job["attempts"]["nodes"] if attempt["run"] == run]
    states = Counter(attempt["state"] for attempt in shown)
    wrote = Counter(line.what for line in lines)
    name = f"{_name(job)}, run {run}: history shows {dict(states)}, the ledger {dict(wrote)}"
    if states["ACTIVE"]:
        yield f"{name}: an attempt of an ended run is ACTIVE."
    if run == job["run"] and job["state"] == "COMPLETED":
        if not wrote[ledger.END]:
            yield f"{name}: it is COMPLETED and never ran to its end."
        if states["COMPLETED"] != 1 or shown[-1]["state"] != "COMPLETED":
            yield f"{name}: a COMPLETED job has one COMPLETED attempt, its last."
    elif states["COMPLETED"]:
        yield f"{name}: an attempt completed and the run did not."
    if run == job["run"] and max((attempt["number"] for attempt in shown), default=0) != job["attemptCount"]:
        yield f"{name}: the attempts do not go up to the number of attempts."
    if not job["recoveries"]:
        yield from _attempts_of_a_job_that_was_not_lost(name, shown, wrote, lines, lost=lost)
        if wrote[ledger.BEGIN] - forgotten > len(shown):
            yield f"{name}: more attempts began than are shown."


def _attempts_of_a_job_that_was_not_lost(
    name: str, shown: list[dict[str, Any]], wrote: Counter[str], lines: list[ledger.Line], *, lost: bool
) -> Iterator[str]:
    numbers = [attempt["number"] for attempt in shown]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"{name}: the attempts are {numbers}."
    # Of an attempt that was interrupted before its first line, history knows more than the ledger.
    silent = sum(1 for attempt in shown if attempt["state"] in {"LOST", "RELEASED", "CANCELLED"} or _timed_out(attempt))
    if wrote[ledger.BEGIN] < len(shown) - silent:
        yield f"{name}: attempts are shown that never began."
    excused = sum(1 for attempt in shown if attempt["state"] in {"LOST", "RELEASED"})
    if wrote[ledger.END] > 1 + excused and not lost:
        yield f"{name}: it ran to its end more than once, and nothing explains that."
    own = {line.attempt for line in lines if line.what == ledger.BEGIN}
    if not lost and not own <= set(numbers):
        yield f"{name}: the attempts that ran were {sorted(own)}, shown are {numbers}."


def _timed_out(attempt: dict[str, Any]) -> bool:
    return attempt["state"] == "FAILED" and (attempt["error"] or {}).get("type") == "TIMEOUT"


# Keys


def _keys_were_unique(evidence: Evidence, planned: dict[str, PlannedJob]) -> Iterator[str]:
    """A job may begin when the one that held its key before has ended."""
    begun: dict[str, float] = {}
    for line in evidence.ledger:
        if line.what == ledger.BEGIN:
            begun.setdefault(line.job, line.at_s)
    spans = defaultdict[str, list[tuple[float, float, str]]](list)
    for job_id, plan in planned.items():
        job = evidence.history[job_id]
        if plan.key and job["finishedAt"] and job_id in begun and not job["recoveries"]:
            spans[plan.key].append((begun[job_id], seconds(job["finishedAt"]), job_id))
    for key, jobs in spans.items():
        jobs.sort()
        for (_, ended_s, one), (began_s, _, other) in pairwise(jobs):
            if began_s < ended_s - CLOCK_S:
                yield f"{other} began {ended_s - began_s:.2f} s before {one} had ended, which has the same key, {key}."


# Live


def _live(record: Sequence[Seen], evidence: Evidence) -> Iterator[str]:
    """Check what one subscriber saw: every change of every job in its order, except across a gap that was announced."""
    last: dict[tuple[str, int], tuple[int, int]] = {}  # version, and how many gaps had been announced by then
    ended: dict[tuple[str, int], tuple[str, int]] = {}
    gaps = 0
    for seen in record:
        if seen.kind == GAP:
            gaps += 1
            continue
        key = (seen.job, seen.run)
        job = evidence.history.get(seen.job)
        if job is None or job["task"] == PROBE:
            continue
        yield from _follows(seen, last.get(key), ended.get(key), gaps)
        if seen.kind in UNVERSIONED:
            last.setdefault(key, (seen.version, BEFORE_ALL))
        else:
            last[key] = (max(seen.version, last.get(key, (0, 0))[0]), gaps)
        if seen.kind in FINAL_EVENTS:
            ended[key] = (FINAL_EVENTS[seen.kind], gaps)
    yield from _finals_were_seen(evidence, ended, gaps)


def _follows(seen: Seen, before: tuple[int, int] | None, ended: tuple[str, int] | None, gaps: int) -> Iterator[str]:
    about = f"{seen.kind} of {seen.job}, run {seen.run}, version {seen.version}"
    if ended and ended[1] == gaps:
        yield f"{about} came after its end ({ended[0]}), and no gap between."
    if before is None:
        if seen.kind != "JobEnqueued" and not gaps and seen.run == 1:
            yield f"{about} is the first that was seen of it, and no gap was announced."
    elif seen.kind in UNVERSIONED:
        if seen.version < before[0]:
            yield f"{about} came after version {before[0]}."
    elif seen.version <= before[0]:
        yield f"{about} came after version {before[0]}."
    elif seen.version != before[0] + 1 and before[1] == gaps:
        yield f"{about} came after version {before[0]}: something is missing, and no gap was announced."


def _finals_were_seen(evidence: Evidence, ended: dict[tuple[str, int], tuple[str, int]], gaps: int) -> Iterator[str]:
    unseen = []
    for job in evidence.history.values():
        if job["task"] == PROBE or job["state"] not in FINAL:
            continue
        state = ended.get((job["id"], job["run"]))
        if state is None:
            unseen.append(job["id"])
        elif state[0] != job["state"]:
            yield f"{_name(job)} ended as {state[0]} before the subscriber's eyes."
    if unseen and not gaps:
        yield f"The ends of {len(unseen)} jobs were not seen, and no gap was announced: {unseen[:3]}."


# What is left


def _left_over(evidence: Evidence) -> Iterator[str]:
    for queue, counts in evidence.counts.items():
        if any(counts.values()):
            yield f"The queue {queue} says that it holds {counts}, and every job has ended."
    foreign = sorted(name for name in evidence.keys if not name.startswith(LASTING))
    if foreign:
        yield f"Redis still has {len(foreign)} keys of jobs that have ended, such as {foreign[:5]}."
    size = sum(evidence.keys.values())
    if size > KEYS_MAX_BYTES:
        largest = sorted(evidence.keys, key=lambda name: -evidence.keys[name])[:5]
        yield f"Redis still holds {size:,} bytes beside the stream and tombstones, most of it in {largest}."
