"""How long things are kept: the kinds of records, the policies, and those that are shipped. No I/O.

A queue's own policy of a kind takes the place of the one for all queues, as a whole: they are not mixed. Where
neither age nor number bounds what is kept, everything is. Where both do, what violates either goes.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jobs.errors import InvalidOption, Unavailable
from jobs.job import State
from jobs.name import check_queue

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
KEEP_MAX_S = 100 * 365 * DAY_S
COUNT_MAX = 1_000_000
EVERY_MIN_S, EVERY_MAX_S = 60, 31 * DAY_S
GRACE_MIN_S = 60.0
"""Jobs that ended more recently are never removed; a longer replay window protects them for as long as it is."""
CLOCKS_APART_MAX_S = HOUR_S
"""How far the clock of Redis, which times what happens to jobs, may be from others for anything to be removed."""


class Kind(StrEnum):
    """What a policy is about."""

    COMPLETED = "COMPLETED"
    """Jobs that ended well."""
    CANCELLED = "CANCELLED"
    """Jobs that were cancelled."""
    DEAD = "DEAD"
    """Jobs that will not be tried again: the dead letters."""
    ATTEMPT = "ATTEMPT"
    """Attempts that ended, of jobs that are still there."""
    LOG = "LOG"
    """Log lines of jobs that are still there."""
    EVENT = "EVENT"
    """What can be caught up on. Bounded by the settings QUEUEQL_REPLAY_WINDOW_S and QUEUEQL_EVENTS_MAX_BYTES."""
    SNAPSHOT = "SNAPSHOT"
    """Health snapshots."""
    ROLLUP_MINUTE = "ROLLUP_MINUTE"
    """Statistics by the minute."""
    ROLLUP_HOUR = "ROLLUP_HOUR"
    """Statistics by the hour. Those by the day are kept for ever."""
    SLOW_QUERY = "SLOW_QUERY"
    """Statements of the database that took long, from when they last did."""
    QUARANTINE = "QUARANTINE"
    """Records that could not be read."""
    KEY = "KEY"
    """Idempotency keys, from when they expired: 24 hours after the job was accepted."""
    TOKEN = "TOKEN"  # noqa: S105  # the name of a kind
    """Access, from when it expired or was revoked."""


ENDED: dict[Kind, State] = {
    Kind.COMPLETED: State.COMPLETED,
    Kind.CANCELLED: State.CANCELLED,
    Kind.DEAD: State.DEAD,
}
"""Kinds that are jobs: bounded by age, by number, or both, and by queue."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one kind, and how often the rest is removed."""

    kind: Kind
    queue: str = ""
    """"" for all queues that have no policy of their own for this kind."""
    keep_s: int | None = None
    """None: whatever their age."""
    keep_count: int | None = None
    """The newest so many jobs of each queue are kept; None: however many."""
    every_s: int = DAY_S

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever removed."""
        return self.keep_s is None and self.keep_count is None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that is in force, and how it went."""

    policy: Policy
    is_shipped: bool
    """Nobody has set it."""
    ran_ms: int | None = None
    removed: int = 0
    """In its last run."""
    removed_total: int = 0

    @property
    def next_ms(self) -> int | None:
        """When it is to run next; 0: at once; None: never, since there is nothing that it would remove."""
        if self.policy.keeps_all or self.policy.kind is Kind.EVENT:
            return None
        return 0 if self.ran_ms is None else self.ran_ms + self.policy.every_s * 1000

    def is_due(self, now_ms: int) -> bool:
        """Tell whether it is to run now. One that ran in the future ran by a clock that was wrong."""
        return self.next_ms is not None and (self.next_ms <= now_ms or (self.ran_ms or 0) > now_ms)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would remove of one queue, or of a kind that has no queues."""

    queue: str
    value: int
    whole: bool
    """Whether all were counted; there may be more otherwise."""
    oldest_ms: int | None
    newest_ms: int | None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would remove if it ran now."""

    kind: Kind
    shares: list[Share]
    """Queues of which it would remove something, by name."""
    is_complete: bool = True
    """Whether every queue was looked at."""

    @property
    def value(self) -> int:
        """How many in all, as far as they were counted."""
        return sum(share.value for share in self.shares)

    @property
    def whole(self) -> bool:
        """Whether all were counted."""
        return self.is_complete and all(share.whole for share in self.shares)


SHIPPED = {
    policy.kind: policy
    for policy in (
        Policy(kind=Kind.COMPLETED, keep_s=30 * DAY_S, every_s=HOUR_S),
        Policy(kind=Kind.CANCELLED, keep_s=30 * DAY_S, every_s=HOUR_S),
        Policy(kind=Kind.DEAD, keep_s=90 * DAY_S, every_s=6 * HOUR_S),
        Policy(kind=Kind.ATTEMPT, keep_s=90 * DAY_S, every_s=DAY_S),
        Policy(kind=Kind.LOG, keep_s=30 * DAY_S, every_s=HOUR_S),
        Policy(kind=Kind.SNAPSHOT, keep_s=90 * DAY_S, every_s=DAY_S),
        Policy(kind=Kind.ROLLUP_MINUTE, keep_s=7 * DAY_S, every_s=HOUR_S),
        Policy(kind=Kind.ROLLUP_HOUR, keep_s=90 * DAY_S, every_s=DAY_S),
        Policy(kind=Kind.SLOW_QUERY, keep_s=30 * DAY_S, every_s=DAY_S),
        Policy(kind=Kind.QUARANTINE, keep_s=90 * DAY_S, every_s=DAY_S),
        Policy(kind=Kind.KEY, keep_s=0, every_s=6 * HOUR_S),
        Policy(kind=Kind.TOKEN, keep_s=30 * DAY_S, every_s=DAY_S),
    )
}
"""In force where nobody has set anything else."""


def grace_ms(replay_window_s: float) -> int:
    """Return how long an ended job is safe from being removed: subscribers may still catch up on its events."""
    return int(max(GRACE_MIN_S, replay_window_s) * 1000)


def check_clocks(redis_ms: int, own_ms: int) -> None:
    """Raise Unavailable where what is old by the clock of Redis may not be."""
    apart_s = (redis_ms - own_ms) / 1000
    if abs(apart_s) > CLOCKS_APART_MAX_S:
        raise Unavailable(
            f"The clock of Redis is {abs(apart_s) / HOUR_S:,.1f} hours {'ahead of' if apart_s > 0 else 'behind'} that"
            " of this machine; nothing is removed until they agree within an hour."
        )


def check(policy: Policy) -> None:
    """Raise InvalidOption for a policy that cannot be."""
    if policy.kind not in SHIPPED:
        raise InvalidOption(
            "How long events stay readable are the settings QUEUEQL_REPLAY_WINDOW_S and QUEUEQL_EVENTS_MAX_BYTES.",
            path=("kind",),
        )
    if policy.queue and policy.kind not in ENDED:
        raise InvalidOption(
            f"{policy.kind} is kept for all queues alike; only jobs have policies of queues.", path=("queue",)
        )
    check_queue(policy.queue or None)
    if policy.keep_s is not None and not 0 <= policy.keep_s <= KEEP_MAX_S:
        raise InvalidOption("`keepFor` must be 0 seconds to 100 years.", path=("keep_for",))
    if policy.keep_count is not None and policy.kind not in ENDED:
        raise InvalidOption(f"{policy.kind} is kept by age; only jobs are kept by number.", path=("keep_count",))
    if policy.keep_count is not None and not 0 <= policy.keep_count <= COUNT_MAX:
        raise InvalidOption(f"`keepCount` must be 0 to {COUNT_MAX:,}.", path=("keep_count",))
    if not EVERY_MIN_S <= policy.every_s <= EVERY_MAX_S:
        raise InvalidOption("`every` must be 1 minute to 31 days.", path=("every",))
