"""What a process knows of how its parts are: one source for everybody who asks, on whichever port.

Parts are asked once a second at most, however many want to know. The answers may be had in any thread, so that a
process whose event loop is blocked turns red instead of hanging.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from jobs import probe
from jobs.ending import end
from jobs.probe import Answer, Health, components, failing, readiness, unwell, well
from jobs.version import version

log = structlog.get_logger(__name__)

Ask = Callable[[], Awaitable[Sequence[Health]]]
"""Says how some parts are, within a few seconds; never raises."""

SYSTEM = "system"
"""The part that says whether jobs can be run at all: Redis was prepared for them."""


class Lookout:
    """Looks after the parts of a process, and what it needs others for.

    `own` are the parts without which the process cannot do its work; `others` are other processes, whose absence does
    not keep this one from working; `at_once` are parts whose state is never old.
    """

    def __init__(
        self,
        own: Ask,
        *,
        others: Ask | None = None,
        at_once: Callable[[], Sequence[Health]] = tuple,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask_own = own
        self._ask_others = others
        self._at_once = at_once
        self._monotonic = monotonic
        self._own: Sequence[Health] = [Health("process", False, "The process starts.")]
        self._others: Sequence[Health] = []
        self._turned_at = self._looked_at = monotonic()
        self._looked = False
        self._looking: asyncio.Task[None] | None = None

    # On the event loop

    def turn(self) -> None:
        """Note that the event loop turns."""
        self._turned_at = self._monotonic()

    async def look(self) -> None:
        """Ask the parts, unless that was done within the last second; wait for `2 * ASK_S` at most. Never raises."""
        self.turn()
        if self._looking is None or self._looking.done():
            if self._looked and self._monotonic() - self._looked_at < probe.EVERY_S:
                return
            self._looking = asyncio.create_task(self._look(), name="lookout")
        await asyncio.wait([self._looking], timeout=2 * probe.ASK_S)
        self.turn()

    async def close(self) -> None:
        """Ask no more."""
        await end(self._looking)

    async def _look(self) -> None:
        try:
            others = self._ask_others() if self._ask_others else _nobody()
            self._own, self._others = await asyncio.gather(self._ask_own(), others)
        except Exception:  # whoever asks is told that nothing answers
            log.exception("lookout.fault")
        else:
            self._looked_at, self._looked = self._monotonic(), True

    # In any thread

    def live(self) -> Answer:
        """Say whether the event loop still turns."""
        blocked_s = self._monotonic() - self._turned_at
        if blocked_s < probe.DEAD_S:
            return well("alive")
        return unwell("Not alive", f"The event loop has been blocked for {blocked_s:.0f} seconds.", code="NOT_ALIVE")

    def ready(self) -> Answer:
        """Say whether this process can do its work."""
        return readiness(self._parts())

    def health(self) -> Answer:
        """Say how the whole system is, as this process sees it. It may be ready for its own work all the same."""
        parts = self.parts()
        about: dict[str, object] = {"version": version()}
        initialised = [part.ok if part.known else None for part in self._others if part.component == SYSTEM]
        if initialised:
            about["initialised"] = initialised[0]
        about["components"] = components(parts)
        if wrong := failing(parts):
            return unwell("Not healthy", wrong, code="UNHEALTHY", **about)
        return well("healthy", **about)

    def parts(self) -> list[Health]:
        """Return how each part is, those of others too."""
        return [*self._parts(), *self._others]

    def _parts(self) -> list[Health]:
        return [*self._own, *self._at_once(), self._loop()]

    def _loop(self) -> Health:
        now = self._monotonic()
        blocked_s, silent_s = now - self._turned_at, now - self._looked_at
        # Whoever is blocked does not ask either, and has asked a little before it turned for the last time.
        if max(blocked_s, silent_s) > probe.STUCK_S and blocked_s > probe.STUCK_S / 2:
            return Health("event_loop", False, f"The event loop has been blocked for {blocked_s:.0f} seconds.")
        if silent_s > probe.STUCK_S:
            return Health("event_loop", False, f"No component has answered for {silent_s:.0f} seconds.")
        return Health("event_loop", True, "The event loop turns.")


async def _nobody() -> Sequence[Health]:
    return ()
