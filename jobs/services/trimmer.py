"""The trimmer: the stream of events keeps what is not recorded, and a window beyond for those who come back.

A cap in bytes cuts the window. Where what is not recorded is larger than the cap by itself, nothing more is
reserved until the recorder has caught up: jobs that run may end, and their events fit.
"""

from __future__ import annotations

import structlog

from jobs.broker import Broker
from jobs.errors import StoreUnavailable
from jobs.event import Position
from jobs.probe import Health
from jobs.services.base import Loop
from jobs.store import Store

log = structlog.get_logger(__name__)

INTERVAL_S = 1.0
SHORTEST_MS = 2_000
"""What happened so shortly ago stays, so that subscribers who listen miss nothing."""
HOLD_MS = 30_000
"""How long nothing is reserved after the last turn that found the recorder behind."""


class Trimmer(Loop):
    """Keeps the stream within its bounds. Any number may run: what it removes is recorded."""

    name = "trimmer"

    def __init__(self, store: Store, broker: Broker, *, replay_window_s: float, max_bytes: int) -> None:
        super().__init__()
        self._store = store
        self._broker = broker
        self._window_ms = int(replay_window_s * 1000)
        self._max_bytes = max_bytes
        self._recorded: Position | None = None
        self._holds: bool | None = None
        """None: not known, since another process may have let go or not."""

    async def turn(self) -> float:
        """Trim once."""
        stream, recorded = self._broker.stream, await self._where()
        now_ms, cap = await self._broker.now_ms(), await self._cap()
        removed = await stream.trim(recorded, now_ms - self._window_ms) if recorded else 0
        if await stream.size_bytes() > cap and recorded:
            removed += await stream.trim(recorded, now_ms - min(SHORTEST_MS, self._window_ms))
        if removed:
            log.debug("trimmer.trimmed", entries=removed)
        # Once it holds, it lets go where there is room for a while.
        too_large = await stream.size_bytes() > (cap // 2 if self._holds else cap)
        await self._hold(behind=too_large and await self._is_behind(recorded, now_ms))
        return INTERVAL_S

    async def _where(self) -> Position | None:
        """Return up to where everything is recorded; while the database is away, what was known last."""
        try:
            self._recorded = await self._store.history.position()
        except StoreUnavailable as error:
            log.debug("trimmer.store_away", reason=str(error))
        return self._recorded

    async def _cap(self) -> int:
        """Return the cap; a small Redis has a smaller one."""
        most = (await self._broker.room.look()).max_bytes
        return min(self._max_bytes, most // 4) if most else self._max_bytes

    async def _is_behind(self, recorded: Position | None, now_ms: int) -> bool:
        """Tell whether most of what the stream holds is not recorded."""
        last = await self._broker.stream.last()
        if recorded is None or recorded.epoch != last.epoch:
            return True
        return recorded < last and recorded.ms < now_ms - SHORTEST_MS

    async def _hold(self, *, behind: bool) -> None:
        if behind or self._holds is not False:
            await self._broker.hold(HOLD_MS if behind else 0)
        if behind and not self._holds:
            log.warning("trimmer.holds", reason="events that are not recorded fill their share of Redis")
        elif self._holds and not behind:
            log.info("trimmer.lets_go")
        self._holds = behind

    def health(self) -> Health:
        """Tell whether the stream is within its bounds."""
        if self._holds:
            return Health(self.name, False, "No jobs are started until the recorder has caught up with their events.")
        return super().health()
