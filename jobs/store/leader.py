"""Who leads: a lease in the table `leader`, for what only one process is to do at a time.

Whoever is frozen in the middle of its work finds out afterwards that it leads no more. So the work has to bear that
two do a part of it: leadership spares effort, it does not replace a compare-and-set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jobs.clock import Clock
from jobs.store.database import Database, Dialect, Transaction

LEASE_MS = 15_000
RENEW_PART = 3
"""Within the first third of its lease a leader does not ask the database whether it still leads."""

_NOW: dict[Dialect, str] = {
    # All who share the table share one clock: that of the server, or that of the machine where SQLite is.
    "postgres": "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    "sqlite": "$4",
}
_TAKE = (
    "INSERT INTO leader (name, holder, until_ms) VALUES ($1, $2, {now} + CAST($3 AS BIGINT))"
    " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = {now} + CAST($3 AS BIGINT)"
    # A clock that was put back leaves leases far in the future behind.
    " WHERE leader.holder = excluded.holder OR leader.until_ms NOT BETWEEN {now} AND {now} + 2 * CAST($3 AS BIGINT)"
)
_RELEASE = "DELETE FROM leader WHERE name = $1 AND holder = $2"


class Leadership:
    """One candidate for the lead of `name`. Made by `Store.leadership`; any number may stand, in any process."""

    def __init__(  # noqa: PLR0913  # the last two are for tests
        self,
        database: Database,
        clock: Clock,
        name: str,
        holder: str,
        *,
        lease_ms: int = LEASE_MS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._holder = holder
        self._lease_ms = lease_ms
        self._monotonic = monotonic
        self._renewed_s: float | None = None

    @property
    def renew_s(self) -> float:
        """How often a leader has to call `holds` to stay it, in seconds."""
        return self._lease_ms / 1000 / RENEW_PART

    async def holds(self) -> bool:
        """Tell whether this one leads, after taking the lead where nobody has it. Raises StoreUnavailable.

        To be called every `renew_s`: asked that often, it writes one row each time; asked more often, nothing.
        """
        asked_s = self._monotonic()
        if self._renewed_s is not None and asked_s - self._renewed_s < self.renew_s:
            return True
        self._renewed_s = None
        async with self._database.transaction() as transaction:
            took = await self._take(transaction)
        self._renewed_s = asked_s if took else None
        return took

    async def _take(self, transaction: Transaction) -> bool:
        values: list[Any] = [self._name, self._holder, self._lease_ms]
        if transaction.dialect == "sqlite":
            values.append(self._clock())
        return await transaction.execute(_TAKE.format(now=_NOW[transaction.dialect]), values) > 0

    async def release(self) -> None:
        """Let another one lead at once. Does nothing where this one does not lead. Raises StoreUnavailable."""
        self._renewed_s = None
        async with self._database.transaction() as transaction:
            await transaction.execute(_RELEASE, (self._name, self._holder))
