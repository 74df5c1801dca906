"""Commands on records that could not be read."""

from __future__ import annotations

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.errors import NotFound
from jobs.viewer import Permission, Viewer


class QuarantineCommands:
    """Remove."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts

    @command(Permission.ADMINISTER, "quarantine.remove")
    async def remove(self, _viewer: Viewer, record_id: str) -> None:
        """Remove a record that somebody has looked at. Where it is found again, it is kept again.

        Raises Forbidden, NotFound, StoreUnavailable.
        """
        if not await self._parts.store.quarantine.remove(record_id):
            raise NotFound(f'There is no record "{record_id[:128]}" in quarantine.', path=("id",))
