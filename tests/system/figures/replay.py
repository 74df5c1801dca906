"""The stream of events, counted again from its beginning: how many jobs are in each state at any moment.

Every change of a job and its event are one step in Redis, so what the events add up to is what is so.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import redis.asyncio

from jobs import event
from jobs.broker import keys
from jobs.event import JobEvent, Position

BLOCK_MS = 50
LATE_MS = 20
"""An entry is dated when its script begins; so late on a busy machine others may see what it did."""
_STATES: dict[type, str] = {
    event.Due: "QUEUED",
    event.Started: "ACTIVE",
    event.Completed: "COMPLETED",
    event.RetryingLater: "RETRYING",
    event.Snoozed: "SCHEDULED",
    event.Released: "QUEUED",
    event.Reaped: "QUEUED",
    event.Died: "DEAD",
    event.Cancelled: "CANCELLED",
}
LIVE = {
    "QUEUE_WAITING": ("QUEUED",),
    "QUEUE_DELAYED": ("SCHEDULED", "RETRYING"),
    "QUEUE_ACTIVE": ("ACTIVE",),
    "QUEUE_BLOCKED": ("BLOCKED",),
}

Place = tuple[int, int]
"""The id of an entry."""
Kind = tuple[str, str]
"""Queue and state."""
Step = tuple[Kind | None, Kind]
"""What a job was, and what it is now."""
Range = tuple[float, float]


class _Entry(msgspec.Struct, array_like=True):
    epoch: int
    events: list[JobEvent]


_decode = msgspec.msgpack.Decoder(_Entry).decode


class Replay:
    """`follow` reads from the beginning on; then it can be asked."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[str, str]] = {}
        self._entries: list[tuple[Place, int, list[Step]]] = []
        """Each with the number of its events."""
        self._last = "0-0"

    async def follow(self, redis_url: str) -> None:
        """Read on and on."""
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            while True:
                for _, entries in await client.xread({keys.EVENTS: self._last}, block=BLOCK_MS):
                    for entry_id, fields in entries:
                        self.take(entry_id.decode(), fields[b"e"])

    def take(self, entry_id: str, entry: bytes) -> None:
        """Take in the next entry of the stream."""
        steps, events = list[Step](), _decode(entry).events
        for one in events:
            known = self._jobs.get(one.job)
            if isinstance(one, event.Enqueued):
                now = one.queue, one.state.value
            elif type(one) in _STATES and known:
                now = known[0], _STATES[type(one)]
            else:
                continue
            self._jobs[one.job] = now
            steps.append((known, now))
        self._last = entry_id
        ms, seq = entry_id.split("-")
        self._entries.append(((int(ms), int(seq)), len(events), steps))

    def live(self, since_s: float, until_s: float) -> dict[tuple[str, str], Range]:
        """How many jobs were in each state that is not final, at least and at most, in that time."""
        since_ms, until_ms = 1000 * since_s - LATE_MS, 1000 * until_s
        now = Counter[Kind]()
        seen: dict[tuple[str, str], list[int]] = {}
        names = {queue for _, _, steps in self._entries for _, (queue, _) in steps}
        for (place, _, steps), after in pairwise([*self._entries, ((round(until_ms) + 1, 0), 0, [])]):
            if place[0] > until_ms:
                break
            for before, then in steps:
                now[then] += 1
                if before:
                    now[before] -= 1
            if after[0][0] >= since_ms:
                for metric, states in LIVE.items():
                    for queue in names:
                        seen.setdefault((metric, queue), []).append(sum(now[queue, state] for state in states))
        found: dict[tuple[str, str], Range] = {key: (min(values), max(values)) for key, values in seen.items()}
        for metric in LIVE:
            ranges = [one for (name, _), one in found.items() if name == metric]
            found[metric, ""] = sum(least for least, _ in ranges), sum(most for _, most in ranges)
        return found

    def died(self, first: Position, last: Position, hour_s: float) -> dict[tuple[str, str], Range]:
        """How many jobs have ended DEAD, those too that were retried, up to the one position and to the other."""
        ends, hour = [Counter[str](), Counter[str]()], [0, 0]
        for place, _, steps in self._entries:
            dead = [queue for _, (queue, state) in steps if state == "DEAD"]
            for n, position in enumerate((first, last)):
                if place <= (position.ms, position.seq):
                    ends[n].update(dead)
                    hour[n] += len(dead) if place[0] >= 1000 * hour_s else 0
        names = {queue for _, _, steps in self._entries for _, (queue, _) in steps}
        found: dict[tuple[str, str], Range] = {("QUEUE_FAILED", name): (ends[0][name], ends[1][name]) for name in names}
        return found | {
            ("QUEUE_FAILED", ""): (ends[0].total(), ends[1].total()),
            ("ERROR_DEAD_HOUR", ""): (hour[0], hour[1]),
        }

    def behind(self, first: Position, since_s: float, last: Position, until_s: float) -> dict[tuple[str, str], Range]:
        """How far whoever is at `first` at the one moment, and at `last` at the other, is behind at any time between.

        The position moves on meanwhile, and so does the stream.
        """
        most = self._after(first, 1000 * until_s)
        least = self._after(last, 1000 * since_s - LATE_MS)
        return {
            ("RECORDER_LAG_EVENTS", ""): (sum(number for _, number in least), sum(number for _, number in most)),
            ("RECORDER_LAG_MS", ""): (
                max(0.0, 1000 * since_s - least[0][0]) if least else 0,
                max(0.0, 1000 * until_s - most[0][0] + 1) if most else 0,  # Redis says whole milliseconds
            ),
        }

    def _after(self, position: Position, until_ms: float) -> list[tuple[int, int]]:
        return [
            (place[0], number)
            for place, number, _ in self._entries
            if (position.ms, position.seq) < place and place[0] <= until_ms
        ]
