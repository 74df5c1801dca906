"""The epoch: which Redis the store trusts. It only grows."""

from __future__ import annotations

from jobs.errors import EpochChanged, Stale
from jobs.store.database import Database

_RAISE = "UPDATE epoch SET number = $1, run_id = $2 WHERE id = 1 AND number <= $3"


class Epochs:
    """The epoch's number and the run_id of the Redis that it began with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> tuple[int, str]:
        """Return number and run_id; 0 and "" before the first Redis. Raises StoreUnavailable."""
        row = (await self._database.fetch("SELECT number, run_id FROM epoch WHERE id = 1"))[0]
        return row["number"], row["run_id"]

    async def is_trusting(self) -> bool:
        """Tell whether any Redis is trusted; False before the first one, and from a restore to the next epoch.

        Until then Redis may know of what history does not. Raises StoreUnavailable.
        """
        return bool((await self.current())[1])

    async def check_trusting(self) -> None:
        """Raise EpochChanged where no Redis is trusted. Raises StoreUnavailable."""
        if not await self.is_trusting():
            raise EpochChanged("The database was restored, or is new; it is being compared with Redis.")

    async def raise_to(self, old: int, run_id: str) -> int:
        """Begin the epoch after `old` and return its number, old + 1.

        `old` is the highest number that the caller has seen anywhere. Raises Stale when the store is
        beyond it: another caller was faster. Raises StoreUnavailable.
        """
        async with self._database.transaction() as transaction:
            if not await transaction.execute(_RAISE, (old + 1, run_id, old)):
                raise Stale("Another process has raised the epoch.")
        return old + 1
