"""Subscriptions to queues: how many jobs are in each state."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.broker import PositionedEvent
from jobs.errors import NotFound
from jobs.feed.hub import Hub
from jobs.feed.state import States, StateSubscription
from jobs.line import Lines, Queue

PAUSE_S = 0.25

QueueSubscription = StateSubscription[str, Queue]


class QueueStates(States[str, Queue]):
    """The queues that are watched in this process, by name. Whatever happens may change the counts of any of them."""

    pause_s = PAUSE_S

    def __init__(self, hub: Hub, lines: Lines) -> None:
        super().__init__()
        self._hub = hub
        self._lines = lines
        self._known: set[str] = set()
        """A queue stays known, also where its last worker goes before it has a job."""
        hub.listen(self)

    def watch(self, name: str) -> QueueSubscription:
        """Follow a queue. Raises NotFound at the first state where it never had a job and no worker serves it."""
        missing = NotFound(f'There is no queue "{name[:128]}".', path=("name",))
        return StateSubscription(self, name, face=lambda queue: queue.counts, missing=missing)

    def heard(self, _events: Sequence[PositionedEvent]) -> None:
        """Take in that something happened."""
        self.change()

    def missed(self) -> None:
        """Take in that something may have happened."""
        self.change()

    def _listen(self) -> None:
        self._hub.wake()

    async def _read(self, keys: Sequence[str]) -> dict[str, Queue]:
        if not self._known.issuperset(keys):
            self._known = set(await self._lines.known())
        names = [name for name in keys if name in self._known]
        return {queue.name: queue for queue in await self._lines.read(names)}
