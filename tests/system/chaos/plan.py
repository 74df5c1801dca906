"""What one seed stands for: which jobs are enqueued when, and what breaks when. A pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

LEASE_S = 3.0
GRACE_S = 4.0
PAYLOAD_MAX_BYTES = 16_000_000
FIRST_FAULT_S = 3.0
FAULTS = 8
"""Faults of a seed."""
TOGETHER = 0.25
"""How many of them begin while the one before is still there."""
TOGETHER_S = 0.3
"""How much later those begin."""
SEEDS = range(1, 21)
"""Those of `./run test --long`."""


class Deployment(StrEnum):
    EMBEDDED = "embedded"
    """`queueql up`: SQLite and the bundled Redis."""
    REPLICATED = "replicated"
    """Two of each process, PostgreSQL, an external Redis."""


class Break(StrEnum):
    """What can be done to a part of the product."""

    KILL = "kill"
    FREEZE_SHORT = "freeze for less than a lease"
    FREEZE_LONG = "freeze for longer than a lease"
    TERM = "SIGTERM"
    RESTART = "SIGTERM to the whole product"
    KILL_ALL = "kill the whole product"
    FLUSH = "FLUSHALL"
    OLDER_COPY = "replace by an older copy"
    AWAY = "stop for a while"
    HOLD = "hold back what is sent"
    RESET = "reset connections"
    STRAND = "forget connections"
    SLOW = "slow"
    LOCK = "lock"
    FULL = "disk full"


@dataclass(frozen=True)
class Fault:
    """One thing that breaks. `which` picks one of several processes; `link` is the server that it is cut off from."""

    at_s: float
    lasts_s: float
    what: Break
    part: str
    which: int = 0
    link: str = ""

    @property
    def name(self) -> str:
        """What it is, whenever and for however long."""
        return f"{self.part}{f' to {self.link}' if self.link else ''}: {self.what}"


@dataclass(frozen=True)
class PlannedJob:
    """A job that a client enqueues. Its number is its only identity outside of the product."""

    number: int
    task: str
    at_s: float
    bulk: int = 0
    """Jobs with the same number here, other than 0, go out in one request."""
    seconds: float = 0.0
    """How long it runs or blocks, for tasks that are told."""
    size: int = 0
    """Bytes of its argument `text`."""
    delay_s: float | None = None
    key: str = ""
    again: bool = False
    """Whether the client asks for it once more when it has the answer."""
    act: str = ""
    """What the client does with it later: `cancel` or `retry`."""
    act_after_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    seed: int
    deployment: Deployment
    jobs: tuple[PlannedJob, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.deployment}: {len(self.jobs):,} jobs, {len(self.faults)} faults"]
        for fault in self.faults:
            lines.append(f"  {fault.at_s:5.1f} s  {fault.name} {fault.which} ({fault.lasts_s:.1f} s)")
        return "\n".join(lines)


def make_plan(seed: int, deployment: Deployment | None = None) -> Plan:
    """Draw the plan of a seed. Deployments alternate unless one is given."""
    draw = random.Random(f"chaos {seed}")  # noqa: S311  # what is wanted is that it can be repeated
    where = deployment or (Deployment.EMBEDDED if seed % 2 else Deployment.REPLICATED)
    faults = tuple(_faults(draw, where, seed))
    span_s = faults[-1].at_s + faults[-1].lasts_s + 1.0
    return Plan(seed, where, tuple(_jobs(draw, span_s)), faults)


# Faults

_LASTS_S: dict[Break, tuple[float, float]] = {
    Break.KILL: (0.0, 2.0),
    Break.FREEZE_SHORT: (0.5, 1.5),
    Break.FREEZE_LONG: (LEASE_S + 1.5, LEASE_S + 3.5),
    Break.TERM: (0.0, 0.0),
    Break.RESTART: (0.0, 1.0),
    Break.KILL_ALL: (0.0, 1.0),
    Break.FLUSH: (0.0, 0.0),
    Break.OLDER_COPY: (1.5, 4.0),
    Break.AWAY: (2.0, 6.0),
    Break.HOLD: (LEASE_S, LEASE_S + 4.0),
    Break.RESET: (0.0, 2.0),
    Break.STRAND: (0.0, 0.0),
    Break.SLOW: (3.0, 5.0),
    Break.LOCK: (2.0, 5.0),
    Break.FULL: (3.0, 5.0),
}
_ALONE = {Break.RESTART, Break.KILL_ALL, Break.OLDER_COPY, Break.FULL}
"""What takes hold of more than one part; nothing else breaks meanwhile."""

_PROCESSES = ("worker", "services", "api")


def catalogue(where: Deployment) -> dict[str, list[tuple[Break, str, str]]]:
    """Everything that can break in a deployment, in groups; a seed draws from every group."""
    parts = (*_PROCESSES, "redis")
    groups = {
        "kill": [(Break.KILL, part, "") for part in parts],
        "freeze": [(how, part, "") for how in (Break.FREEZE_SHORT, Break.FREEZE_LONG) for part in parts],
        "redis": [(Break.FLUSH, "redis", ""), (Break.OLDER_COPY, "redis", "")],
        "sql": [(Break.SLOW, "sql", ""), (Break.LOCK, "sql", "")],
        "disk": [(Break.FULL, "disk", "")],
        "stop": [(Break.TERM, part, "") for part in _PROCESSES],
    }
    if where is Deployment.EMBEDDED:
        groups["all"] = [(Break.RESTART, "all", ""), (Break.KILL_ALL, "all", "")]
        return groups
    groups["redis"].append((Break.AWAY, "redis", ""))
    groups["sql"] += [(Break.AWAY, "sql", ""), (Break.KILL, "sql", "")]
    for server in ("redis", "sql"):
        groups[f"cut off {server}"] = [
            (how, part, server) for how in (Break.HOLD, Break.RESET, Break.STRAND) for part in _PROCESSES
        ]
    return groups


def _faults(draw: random.Random, where: Deployment, seed: int) -> Iterator[Fault]:
    at_s = FIRST_FAULT_S
    before: Fault | None = None
    for what, part, link in _drawn(draw, where, seed):
        fault = Fault(round(at_s, 1), round(draw.uniform(*_LASTS_S[what]), 1), what, part, draw.randrange(100), link)
        if before and before.part != part and not {before.what, what} & _ALONE and draw.random() < TOGETHER:
            fault = Fault(round(before.at_s + TOGETHER_S, 1), fault.lasts_s, what, part, fault.which, link)
        yield fault
        at_s = max(at_s, fault.at_s + fault.lasts_s + draw.uniform(1.5, 3.0))
        before = fault


def _drawn(draw: random.Random, where: Deployment, seed: int) -> list[tuple[Break, str, str]]:
    """One fault of each group, turn by turn through the group from seed to seed, and some at random."""
    groups = catalogue(where).values()
    turn = (seed - 1) // 2
    chosen = [faults[turn % len(faults)] for faults in groups]
    rest = [fault for faults in groups for fault in faults if fault not in chosen]
    chosen += draw.sample(rest, max(0, FAULTS - len(chosen)))
    draw.shuffle(chosen)
    return chosen


# Jobs

Make = Callable[[random.Random], dict[str, object]]

_MIX: Sequence[tuple[str, int, Make]] = (
    ("quick", 350, lambda draw: {"again": draw.random() < 0.1}),
    ("reporting", 40, lambda _: {}),
    ("slow", 50, lambda draw: {"seconds": round(draw.uniform(0.3, 2.0), 2)}),
    ("threaded", 40, lambda draw: {"seconds": round(draw.uniform(0.05, 1.0), 2)}),
    ("flaky", 40, lambda _: {}),
    ("failing", 10, lambda _: {}),
    ("snoozing", 15, lambda _: {}),
    ("revived", 5, lambda _: {"act": "retry"}),
    ("delayed", 30, lambda draw: {"delay_s": round(draw.uniform(1.0, 8.0), 1)}),
    ("keyed", 40, lambda draw: {"key": f"key-{draw.randrange(8)}", "seconds": round(draw.uniform(0.1, 0.5), 2)}),
    ("waiting", 12, lambda draw: {"delay_s": 15.0, "act": "cancel", "act_after_s": round(draw.uniform(0.0, 3.0), 1)}),
    ("endless", 8, lambda draw: {"act": "cancel", "act_after_s": round(draw.uniform(0.5, 2.0), 1)}),
    ("unencodable", 5, lambda _: {}),
    ("hanging", 3, lambda _: {}),
    ("hanging_thread", 2, lambda _: {"seconds": 4.0}),
    ("stuck", 2, lambda _: {}),
    ("crashing", 1, lambda _: {}),
    ("isolated", 10, lambda draw: {"seconds": round(draw.uniform(0.05, 1.0), 2)}),
    ("stalling", 1, lambda _: {"seconds": 15.0}),
    ("blocking", 2, lambda draw: {"seconds": round(draw.uniform(1.5, 3.0), 1)}),
    ("large", 4, lambda draw: {"size": draw.randrange(20_000, 1_000_000)}),
    ("huge", 2, lambda _: {"size": 10_000_000}),
    ("fat", 3, lambda draw: {"size": draw.randrange(100_000, 400_000)}),
)
"""Task, how many of it, and what each of them is like."""
_BULKS, _BULK = 8, 100


def _jobs(draw: random.Random, span_s: float) -> Iterator[PlannedJob]:
    number = 0
    for task, count, make in _MIX:
        for _ in range(count):
            number += 1
            yield PlannedJob(number, task, round(draw.uniform(0.2, span_s), 2), **make(draw))  # type: ignore[arg-type]  # the mix names fields
    # A pill needs three workers: early enough for all of them to come back.
    number += 1
    yield PlannedJob(number, "poison", round(draw.uniform(0.2, span_s / 2), 2))
    for bulk in range(1, _BULKS + 1):
        at_s = round(draw.uniform(0.2, span_s), 2)
        for _ in range(_BULK):
            number += 1
            yield PlannedJob(number, "quick", at_s, bulk=bulk)
