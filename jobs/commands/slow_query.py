"""Commands on statements of the database that took long."""

from __future__ import annotations

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.viewer import Permission, Viewer


class SlowQueryCommands:
    """Clear."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts

    @command(Permission.ADMINISTER, "slow_queries.clear")
    async def clear(self, _viewer: Viewer, fingerprint: str | None = None) -> int:
        """Forget the slow statement, or all of them; return how many there were. Raises Forbidden, StoreUnavailable."""
        return await self._parts.store.slow.clear(fingerprint)
