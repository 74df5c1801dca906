"""One who waits at the desk for a job."""

from __future__ import annotations

import asyncio

from jobs.broker import Reserved


class Place:
    """A caller who waits for a job. It is told that there is none only after Redis was asked for it."""

    __slots__ = ("asked", "given", "late")

    def __init__(self) -> None:
        self.given: asyncio.Future[Reserved | None] = asyncio.get_running_loop().create_future()
        self.asked = False
        self.late = False

    @property
    def taken(self) -> bool:
        """The caller has an answer, or went away."""
        return self.given.done()

    def give(self, reserved: Reserved | None) -> None:
        """Answer."""
        if not self.given.done():
            self.given.set_result(reserved)

    def note_asked(self) -> None:
        """Redis had nothing."""
        self.asked = True
        if self.late:
            self.give(None)

    def note_late(self) -> None:
        """Let the caller go as soon as Redis was asked: its time is over."""
        self.late = True
        if self.asked:
            self.give(None)
