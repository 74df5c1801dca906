"""What a random sequence of acts begins with, and what each act chooses from."""

from __future__ import annotations

import random
from typing import TypeVar

from jobs.broker import Reserved, Session
from tests.jobs.broker.machine import World

T = TypeVar("T")

RECENT = 12


class Draw:
    """Two workers, two queues, a recorder that lags behind, and a clock that only moves when told to."""

    def __init__(self, url: str) -> None:
        self.world = World(url)
        self.sessions = [self.world.open_session() for _ in range(2)]
        self.random = random.Random(0)  # noqa: S311  # what is wanted is that it can be repeated
        """Set by whoever lets something happen."""

    def close(self) -> None:
        for session in self.sessions:
            self.world.wait(session.close())
        self.world.close()

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
