"""Commands on statements of the database that took long."""

from __future__ import annotations

import re

from jobs.commands.gate import command
from jobs.commands.parts import Parts
from jobs.errors import InvalidOption
from jobs.viewer import Permission, Viewer

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class SlowQueryCommands:
    """Clear."""

    def __init__(self, parts: Parts) -> None:
        self.gate = parts.gate
        self._parts = parts

    @command(Permission.ADMINISTER, "slow_queries.clear")
    async def clear(self, _viewer: Viewer, fingerprint: str | None = None) -> int:
        """Forget the slow statement, or all of them; return how many there were.

        Raises Forbidden, InvalidOption, StoreUnavailable.
        """
        if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
            told = "`fingerprint` must be 64 digits from 0 to f; leave it out to forget all."
            raise InvalidOption(told, path=("fingerprint",))
        return await self._parts.store.slow.clear(fingerprint)
