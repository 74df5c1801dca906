"""The filters that the store is asked for, over what `fill` makes: every part by itself, and the hard mixtures."""

from __future__ import annotations

import random

import msgspec

from jobs.job import Priority, Reason, State
from jobs.where import JobWhere, PathWhere, TimeRange


def values(chance: random.Random) -> dict[str, JobWhere]:
    """Every part of a filter by itself, and what is hard to find."""
    number = chance.randrange
    task, queue = f"task{(n := number(20))}", f"queue{n % 10}"
    owner, small = f"user{number(1, 4)}", f"user{number(5_000, 10_000)}"
    batch = f"batch-{number(20)}"
    user = PathWhere(path="user.id", equals=(number(1_000_000),))
    dry = PathWhere(path="dry", equals=(True,))
    deep = JobWhere(states=(State.DEAD,), tags=("common",))
    for depth in range(9):
        deep = JobWhere(none=(deep,), tasks=(task,)) if depth % 2 else JobWhere(some=(deep, JobWhere(args=(user,))))
    return {
        "all": JobWhere(),
        "queue": JobWhere(queues=(queue,)),
        "queue: rare": JobWhere(queues=("rare",)),
        "queue: unknown": JobWhere(queues=("none",)),
        "task": JobWhere(tasks=(task,)),
        "task: rare": JobWhere(tasks=("yearly",)),
        "state: completed": JobWhere(states=(State.COMPLETED,)),
        "state: dead": JobWhere(states=(State.DEAD,)),
        "state: open": JobWhere(states=(chance.choice([State.ACTIVE, State.QUEUED, State.RETRYING, State.SCHEDULED]),)),
        "state: final": JobWhere(states=(State.COMPLETED, State.DEAD, State.CANCELLED)),
        "state: blocked": JobWhere(states=(State.BLOCKED,)),
        "states: not completed": JobWhere(states=tuple(state for state in State if state is not State.COMPLETED)),
        "queue task state": JobWhere(queues=(queue,), tasks=(task,), states=(State.DEAD,)),
        "queue task state: elsewhere": JobWhere(queues=(queue,), tasks=(f"task{n - 1}",), states=(State.DEAD,)),
        "queue task: elsewhere": JobWhere(queues=("rare",), tasks=(task,)),
        "queue state": JobWhere(queues=(queue,), states=(State.DEAD,)),
        "task state": JobWhere(tasks=(task,), states=(State.CANCELLED,)),
        "task completed": JobWhere(tasks=(task,), states=(State.COMPLETED,)),
        "8 queues": JobWhere(queues=tuple(f"queue{n}" for n in range(8))),
        "20 tasks": JobWhere(tasks=tuple(f"task{n}" for n in range(20))),
        "100 owners": JobWhere(owners=tuple(f"user{number(1, 10_000)}" for _ in range(100))),
        "owner: large": JobWhere(owners=(owner,)),
        "owner: small": JobWhere(owners=(small,)),
        "owner: unknown": JobWhere(owners=("nobody",)),
        "owner dead": JobWhere(owners=(owner,), states=(State.DEAD,)),
        "tag: common": JobWhere(tags=("common",)),
        "tag: batch": JobWhere(tags=(batch,)),
        "tag: seldom": JobWhere(tags=("seldom",)),
        "tag: rare": JobWhere(tags=("rare",)),
        "tag: unknown": JobWhere(tags=("none",)),
        "tag common, state dead": JobWhere(tags=("common",), states=(State.DEAD,)),
        "tag common, owner large": JobWhere(tags=("common",), owners=(owner,)),
        "tag common, owner small": JobWhere(tags=("common",), owners=(small,)),
        "tag old batch, tag common": JobWhere(every=(JobWhere(tags=(batch,)), JobWhere(tags=("common",)))),
        "tag two batches (none)": JobWhere(every=(JobWhere(tags=("batch-1",)), JobWhere(tags=("batch-3",)))),
        "tag common, rare queue": JobWhere(tags=("common",), queues=("rare",)),
        "100 tags": JobWhere(tags=tuple(f"batch-{number(200)}" for _ in range(100))),
        "key": JobWhere(keys=(f"key-{number(1_000_000)}",)),
        "parent": JobWhere(parents=(f"parent-{number(1_000)}",)),
        "priority: critical": JobWhere(priorities=(Priority.CRITICAL,)),
        "reason": JobWhere(reasons=(Reason.NOT_RETRYABLE,)),
        "reason: rare": JobWhere(reasons=(Reason.POISON,)),
        "reason: none": JobWhere(reasons=(Reason.EXPIRED,)),
        "reason, state dead": JobWhere(states=(State.DEAD,), reasons=(Reason.EXPIRED,)),
        "error: common": JobWhere(error="Timeout"),
        "error, state dead": JobWhere(states=(State.DEAD,), error="Timeout after"),
        "error: none": JobWhere(error=f"no such text {number(1000)}"),
        "error: none, state dead": JobWhere(states=(State.DEAD,), error=f"no such text {number(1000)}"),
        "args: user": JobWhere(args=(user,)),
        "args: user, queue": JobWhere(args=(user,), queues=(queue,)),
        "args: user, owner": JobWhere(args=(user,), owners=(owner,)),
        "args: common": JobWhere(args=(dry,)),
        "args: many": JobWhere(args=(user, dry, PathWhere(path="items[0].sku", contains="s-9"))),
        "args: text": JobWhere(args=(PathWhere(path="text", contains="nothing of this"),)),
        "args: number": JobWhere(args=(PathWhere(path="amount", at_least=99.9), PathWhere(path="dry", at_least=2))),
        "args: 100 values": JobWhere(args=(PathWhere(path="user.id", equals=tuple(-n for n in range(1, 101))),)),
        "metadata": JobWhere(metadata=(PathWhere(path="trace", equals=(f"t-{number(1_000_000)}",)),)),
        "none: completed": JobWhere(none=(JobWhere(states=(State.COMPLETED,)),)),
        "none: queues": JobWhere(none=(JobWhere(queues=tuple(f"queue{n}" for n in range(10))),)),
        "none: tag, owner": JobWhere(none=(JobWhere(tags=(f"region-{number(4)}",)),), owners=(owner,)),
        "none: everything": JobWhere(none=(JobWhere(created=TimeRange(from_ms=0)),)),
        "some: owner or dead": JobWhere(some=(JobWhere(owners=(owner,)), JobWhere(states=(State.DEAD,)))),
        "some: small or rare": JobWhere(some=(JobWhere(owners=(small,)), JobWhere(tags=("rare",)))),
        "some: tag or args": JobWhere(some=(JobWhere(tags=("rare",)), JobWhere(args=(user,)))),
        "some: 8 pairs": JobWhere(some=tuple(JobWhere(owners=(f"user{n}",), tags=(f"batch-{n}",)) for n in range(8))),
        "100 parts": JobWhere(
            some=tuple(JobWhere(args=(PathWhere(path=f"items[{n}].sku", contains="none"),)) for n in range(49))
        ),
        "10 deep": deep,
        "every: owner, queue": JobWhere(every=(JobWhere(owners=(small,)), JobWhere(queues=(queue,)))),
    }  # fmt: skip


def times(chance: random.Random, first_ms: int, last_ms: int) -> dict[str, JobWhere]:
    """Spans of time: an hour within the ninety days, and those at their ends."""
    at_ms = chance.randrange(first_ms, last_ms - 7_200_000)
    hour = TimeRange(from_ms=at_ms, until_ms=at_ms + 3_600_000)
    ends = {
        "an hour": hour,
        "first hour": TimeRange(until_ms=first_ms + 3_600_000),
        "last hour": TimeRange(from_ms=last_ms - 3_600_000),
        "later": TimeRange(from_ms=last_ms + 864_000_000),
        "before": TimeRange(until_ms=first_ms - 864_000_000),
    }
    wheres = {
        f"{name}: {end}": msgspec.structs.replace(JobWhere(), **{name: span})
        for name in ("created", "updated", "scheduled", "started", "finished")
        for end, span in ends.items()
    }
    queue = f"queue{chance.randrange(10)}"
    return wheres | {
        "created: an hour, queue": JobWhere(created=hour, queues=(queue,)),
        "created: an hour, state dead": JobWhere(created=hour, states=(State.DEAD,)),
        "created: an hour, tag common": JobWhere(created=hour, tags=("common",)),
        "finished: an hour, queue": JobWhere(finished=hour, queues=(queue,)),
    }
