"""How many jobs a worker process may have at a time."""

from __future__ import annotations

import asyncio

from jobs.worker.attempt import Attempt


class Slots:
    """A slot is claimed before a job is reserved for it, and taken from the job's start to its end here.

    They belong to the process, not to a session: a thread that outlives the lease keeps its slot.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        """May be changed at any time; what runs already is not affected."""
        self.quiet = False
        """No slot can be claimed."""
        self.news = asyncio.Event()
        """Set when a job has ended, or the worker is to stop or to change."""
        self._claimed = 0
        self._taken: set[Attempt] = set()

    @property
    def free(self) -> int:
        """Slots that are neither claimed nor taken."""
        return 0 if self.quiet else self.most - self._claimed - len(self._taken)

    def claim(self, wish: int) -> int:
        """Claim up to so many; return how many."""
        count = max(0, min(wish, self.free))
        self._claimed += count
        return count

    def give_back(self, count: int) -> None:
        """Give claims back."""
        self._claimed -= count

    def revoke(self, count: int, *, all_of_them: bool) -> int:
        """Give back of so many claims those that are above the limit by now; return how many that are."""
        over = count if all_of_them or self.quiet else min(count, max(0, -self.free))
        self._claimed -= over
        return over

    def take(self, attempt: Attempt) -> None:
        """Turn one claim into a taken slot."""
        self._claimed -= 1
        self._taken.add(attempt)

    def leave(self, attempt: Attempt) -> None:
        """Free the attempt's slot."""
        self._taken.discard(attempt)
        self.news.set()
