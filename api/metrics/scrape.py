"""One scrape: every source is asked beside the others, and what one does not say the others do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import Any

import structlog
from prometheus_client import Metric

from api.metrics.figures import show_snapshot
from api.metrics.jobs import show_jobs
from api.metrics.sheet import Sheet
from api.metrics.system import show_backups, show_components, show_queues, show_workers
from api.metrics.traffic import Traffic
from jobs.client import Client
from jobs.errors import QueueQLError
from jobs.fleet import Roll
from jobs.lookout import Lookout
from jobs.patience import Patience
from jobs.recent import Recent
from jobs.viewer import SYSTEM

log = structlog.get_logger(__name__)

SOURCE_S = 6.0
"""How long a source may take; what it has to say is missing then. A snapshot gives its own sources five seconds."""
ROLL_S = 5.0
"""How long it is waited for who vanished or does not answer."""
BACKUPS = 10
"""The newest backups, among which the latest that was restored on trial is looked for."""

Source = Callable[[Sheet], Coroutine[Any, Any, None]]
"""Puts in what it has to say, into a sheet of its own: nobody looks at that of one that is late."""


class Scrape:
    """Reads everything at most once a second, however many ask."""

    def __init__(self, client: Client, lookout: Lookout, traffic: Traffic) -> None:
        self._client = client
        self._lookout = lookout
        self._traffic = traffic
        self._patience = Patience(gives_up=True)
        self._busy: Set[str] | None = None
        """Queues in which something happened lately, as far as the database has ever said."""
        self._families: Recent[Iterable[Metric]] = Recent(self._read)

    async def families(self) -> Iterable[Metric]:
        """Return all metrics, as of a second ago at most. Never raises."""
        return await self._families.get()

    async def close(self) -> None:
        """Ask no more."""
        await self._patience.close()

    async def _read(self) -> Iterable[Metric]:
        sheet = Sheet()
        sources: list[Source] = [self._fleet, self._snapshot, self._totals, self._stuck, self._backups]
        await asyncio.gather(self._lookout.look(), *(self._ask(source, sheet) for source in sources))
        show_components(sheet, self._lookout.parts())
        self._traffic.show(sheet)
        return sheet.families()

    async def _ask(self, source: Source, sheet: Sheet) -> None:
        try:
            own = Sheet()
            await self._patience.wait(source(own), SOURCE_S)
            sheet.take(own)
        except (QueueQLError, TimeoutError) as error:  # queueql_up says which part is away
            log.debug("metrics.source_away", source=source.__name__, error=str(error))
        except Exception:
            log.exception("metrics.fault", source=source.__name__)

    async def _fleet(self, sheet: Sheet) -> None:
        roll = await self._client.fleet.roll.get()
        show_queues(sheet, roll, await self._client.queries.queue.health(SYSTEM), self._busy)
        show_workers(sheet, roll)

    async def _snapshot(self, sheet: Sheet) -> None:
        now, roll = await asyncio.gather(self._client.queries.health.now(SYSTEM), self._roll())
        show_snapshot(sheet, now, roll, busy=self._busy)

    async def _roll(self) -> Roll | None:
        try:
            async with asyncio.timeout(ROLL_S):
                return await self._client.fleet.roll.get()
        except (QueueQLError, TimeoutError):  # the other figures are wanted all the same
            return None

    async def _totals(self, sheet: Sheet) -> None:
        self._busy = await self._client.queries.metric.queues(SYSTEM)
        await asyncio.to_thread(show_jobs, sheet, await self._client.queries.metric.totals(SYSTEM))

    async def _stuck(self, sheet: Sheet) -> None:
        for reason, count in (await self._client.queries.metric.stuck(SYSTEM)).items():
            sheet.put("queueql_jobs_stuck", count, reason.lower())

    async def _backups(self, sheet: Sheet) -> None:
        show_backups(sheet, await self._client.queries.backup.newest(SYSTEM, BACKUPS))
