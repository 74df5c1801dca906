"""Subscriptions to the whole system: how it is, and each snapshot that is taken of it."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.errors import NotFound
from jobs.feed.state import States, StateSubscription
from jobs.recent import Recent
from jobs.snapshot import Snapshot
from jobs.store import Store

PAUSE_S = 2.0
PAUSE_MAX_S = 4.0
"""Reading takes long where a source is away. Whoever watches that wants to see when it is back."""
LOOK_S = 1.0

_SYSTEM = "system"
_NEWEST = "newest"

HealthSubscription = StateSubscription[str, Snapshot]


class HealthStates(States[str, Snapshot]):
    """The system as it is. It is never as it was before, so it is looked at for as long as somebody watches."""

    pause_s = PAUSE_S
    pause_max_s = PAUSE_MAX_S

    def __init__(self, present: Recent[Snapshot]) -> None:
        super().__init__()
        self._present = present

    def watch(self) -> HealthSubscription:
        """Follow the system."""
        missing = NotFound("The figures of the system are not known yet.")
        return StateSubscription(self, _SYSTEM, face=lambda snapshot: snapshot, missing=missing)

    def _listen(self) -> None:
        """Hear of nothing: what is watched is looked at again and again."""

    async def _read(self, keys: Sequence[str]) -> dict[str, Snapshot]:
        self.change()
        return {_SYSTEM: await self._present.get()}


class SnapshotStates(States[str, Snapshot]):
    """The newest snapshot, whichever process takes it."""

    pause_s = LOOK_S

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._snapshots = store.snapshots
        self._newest: Snapshot | None = None

    def watch(self) -> HealthSubscription:
        """Follow the newest snapshot; where there is none yet, the first one is waited for."""
        return StateSubscription(self, _NEWEST, face=lambda snapshot: snapshot.id, missing=None)

    def _listen(self) -> None:
        """Hear of nothing: others take snapshots, and say nothing of it."""

    async def _read(self, keys: Sequence[str]) -> dict[str, Snapshot]:
        self.change()
        newest_id = await self._snapshots.newest_id()
        if newest_id is not None and (self._newest is None or self._newest.id != newest_id):
            self._newest = await self._snapshots.find(newest_id)
        return {} if self._newest is None else {_NEWEST: self._newest}
