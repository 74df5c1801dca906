"""The archivist: backs the database up from time to time, and shows each time that the backup can be restored."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from jobs import backup
from jobs.archive import SUFFIX
from jobs.clock import Clock, now_ms
from jobs.ending import end
from jobs.errors import BackupError, BackupInvalid
from jobs.probe import Health
from jobs.services.leading import LeaderLoop
from jobs.store import Store

log = structlog.get_logger(__name__)

PREFIX = "scheduled-"
"""What the names of its backups begin with. It removes no others."""
AGAIN_S = 600.0
"""Pause after a backup that failed, where backups are not made more often."""
LOOK_S = 60.0


class Archivist(LeaderLoop):
    """Makes a backup every so many seconds, verifies it, and removes the oldest beyond `keep` after that.

    One process does it at a time, into a folder of its own machine. While a backup fails, none is removed.
    """

    name = "archivist"

    def __init__(  # noqa: PLR0913  # the settings one by one
        self, store: Store, url: str, folder: Path, *, every_s: float, keep: int, clock: Clock = now_ms
    ) -> None:
        super().__init__(store)
        self._store = store
        self._url = url
        self._folder = folder
        self._every_s = every_s
        self._keep = keep
        self._clock = clock
        self._failed = ""
        self._again_at = 0.0

    async def lead(self) -> float:
        """Make and verify a backup, where it is time."""
        wait_s = max(await self._due_in_s(), self._again_at - time.monotonic())
        if wait_s <= 0:
            await self._while_it_leads()
            wait_s = self._every_s
        return min(wait_s, LOOK_S)

    def health(self) -> Health:
        """Tell whether it makes progress, and why its last backup failed."""
        health = super().health()
        return (
            health._replace(detail=f"The last backup failed. {self._failed}") if health.ok and self._failed else health
        )

    async def _due_in_s(self) -> float:
        made = [one.created_ms for one in await self._store.backups.newest() if Path(one.path).name.startswith(PREFIX)]
        return self._every_s - (self._clock() - made[0]) / 1000 if made else 0.0

    async def _while_it_leads(self) -> None:
        """Work for as long as it takes, and stay the leader; give up where another one leads, or at a stop."""
        working = asyncio.create_task(self._back_up(), name="backup")
        stopping = asyncio.create_task(self._stopping.wait(), name="backup-stop")
        either = {working, stopping}
        try:
            while not (
                await asyncio.wait(either, timeout=self.leadership.renew_s, return_when=asyncio.FIRST_COMPLETED)
            )[0]:
                if not await self.leadership.holds():
                    break
                self.moves()
            if working.done():
                await working
        finally:
            await end(stopping)
            await end(working)

    async def _back_up(self) -> None:
        at_ms = self._clock()
        target = self._folder / f"{PREFIX}{backup.default_name(at_ms)}"
        try:
            made = await backup.make(self._url, target)
            await self._store.backups.note(made)
            await self._verify(made.id, target)
        except BackupError as error:
            log.error("archivist.failed", error=str(error))  # noqa: TRY400  # the sentence is enough
            self._failed = str(error)
            self._again_at = time.monotonic() + min(self._every_s, AGAIN_S)
            return
        self._failed = ""
        log.info("archivist.made", path=made.path, size_bytes=made.size_bytes, jobs=made.counts.get("job", 0))
        await self._remove_old()

    async def _verify(self, backup_id: str, target: Path) -> None:
        try:
            await backup.verify(self._url, target)
        except BackupError as error:
            untold = "" if isinstance(error, BackupInvalid) else "It could not be verified. "
            await self._store.backups.verified(backup_id, self._clock(), f"{untold}{error}")
            raise
        await self._store.backups.verified(backup_id, self._clock(), None)

    async def _remove_old(self) -> None:
        for path in await asyncio.to_thread(self._old):
            await asyncio.to_thread(path.unlink, missing_ok=True)
            await self._store.backups.removed(str(path))
            log.info("archivist.removed", path=str(path))

    def _old(self) -> list[Path]:
        made = sorted(self._folder.absolute().glob(f"{PREFIX}*{SUFFIX}"), reverse=True)
        return made[self._keep :]
