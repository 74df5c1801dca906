"""The archivist: backs the database up from time to time, and shows each time that the backup can be restored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from jobs import backup
from jobs.archive import SUFFIX
from jobs.clock import Clock, now_ms
from jobs.effort import Effort
from jobs.ending import end
from jobs.errors import BackupError, BackupInvalid, StoreUnavailable
from jobs.probe import Health
from jobs.room import CLEANUP_S
from jobs.services.leading import LeaderLoop
from jobs.snapshot import BackupFigures
from jobs.store import Store
from jobs.store.backup import KEPT_MAX, Backup
from jobs.store.leader import RENEW_PART

log = structlog.get_logger(__name__)

PREFIX = "scheduled-"
"""What the names of its backups begin with. It removes no others."""
AGAIN_S = 600.0
"""Pause after an attempt that failed, where backups are not made more often; each one that follows doubles it."""
LOOK_S = 60.0
AHEAD_MS = 300_000
"""So far in the future the clock of another machine may have made a backup."""
UNTOLD = "It could not be verified. "
"""What the fault of a backup begins with that may be whole all the same."""
_ASK_S = 1.0


class Archivist(LeaderLoop):
    """Makes a backup every so many seconds, verifies it, and removes the oldest beyond `keep` after that.

    One process does it at a time, into a folder of its own machine. While a backup fails, none is removed.
    """

    name = "archivist"

    def __init__(  # noqa: PLR0913  # the settings one by one
        self, store: Store, url: str, folder: Path, *, every_s: float, keep: int,
        keep_free_bytes: int = 0, clock: Clock = now_ms,
    ) -> None:  # fmt: skip
        super().__init__(store)
        self._store = store
        self._url = url
        self._folder = folder
        self._every_s = every_s
        self._keep = keep
        self._keep_free_bytes = keep_free_bytes
        self._clock = clock
        self._failed = False
        self._again_at = 0.0
        self._pause_s = AGAIN_S

    async def lead(self) -> float:
        """Make and verify a backup, where it is time; verify the newest one first, where a stop came in between."""
        made = [one for one in await self._store.backups.newest(KEPT_MAX) if Path(one.path).name.startswith(PREFIX)]
        wait_s = self._due_in_s(made)
        work: Callable[[], Coroutine[Any, Any, None]] = self._back_up
        if made and (wait_s > 0 or not made[0].fault) and await asyncio.to_thread(_is_left, made[0]):
            wait_s, work = 0.0, partial(self._verify, made[0])
        wait_s = max(wait_s, self._again_at - time.monotonic())
        if wait_s <= 0:
            await self._while_it_leads(work)
            wait_s = self._every_s
        return min(wait_s, LOOK_S)

    def health(self) -> Health:
        """Tell whether it makes progress, and why its last backup failed."""
        health = super().health()
        return (
            health._replace(detail="The last backup failed; the log of this process says why.")
            if health.ok and self._failed
            else health
        )

    def figures(self) -> BackupFigures:
        """Tell how often it makes a backup, and whether it could not the last time."""
        return BackupFigures(every_s=self._every_s, failing=self._leads and self._failed)

    def _due_in_s(self, made: list[Backup]) -> float:
        # A clock that was ahead once must not put off the next backup until then.
        now = self._clock()
        newest_ms = next((one.created_ms for one in made if one.created_ms <= now + AHEAD_MS), None)
        return 0.0 if newest_ms is None else self._every_s - (now - newest_ms) / 1000

    async def _while_it_leads(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work for as long as it takes, and stay the leader; give up where another one leads, or at a stop.

        What stands still makes no turn, so that it shows: the loop moves while the work does.
        """
        self._again_at = time.monotonic() + min(self._every_s, self._pause_s)
        self._pause_s = min(self._every_s, self._pause_s * 2)
        effort = Effort()
        with effort.expected():
            working = asyncio.create_task(self._tried(work), name="backup")
        stopping = asyncio.create_task(self._stopping.wait(), name="backup-stop")
        look_s = min(_ASK_S, self.leadership.renew_s)
        leads_until = self._sure_until()
        try:
            while not (await asyncio.wait({working, stopping}, timeout=look_s, return_when=asyncio.FIRST_COMPLETED))[0]:
                leads_until = await self._leads_until(leads_until)
                if time.monotonic() >= leads_until:
                    break
                if effort.moved() or await self._is_served():
                    self.moves()
            if working.done():
                await working
        finally:
            await end(stopping)
            await end(working, again_s=CLEANUP_S)

    async def _leads_until(self, known: float) -> float:
        """Ask again how long it leads; where the database does not answer, for as long as is `known` of its lease."""
        then = self._sure_until()
        try:
            return then if await self.leadership.holds() else 0.0
        except StoreUnavailable:
            return known

    async def _is_served(self) -> bool:
        """Tell whether the server works while its programs wait for it, as for an index of a restored table."""
        try:
            return await self._store.backups.is_served()
        except StoreUnavailable:
            return False

    def _sure_until(self) -> float:
        # Whoever holds the lease may have renewed it a third of it ago.
        return time.monotonic() + self.leadership.renew_s * (RENEW_PART - 1)

    async def _tried(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except (BackupError, StoreUnavailable) as error:
            log.error("archivist.failed", error=str(error))  # noqa: TRY400  # the sentence is enough
            self._failed = True
            return
        except Exception:
            self._failed = True
            raise
        self._failed, self._again_at, self._pause_s = False, 0.0, AGAIN_S

    async def _back_up(self) -> None:
        target = self._folder / f"{PREFIX}{backup.default_name(self._clock())}"
        made = await backup.make(self._url, target, keep_free_bytes=self._keep_free_bytes)
        await self._store.backups.note(made)
        await self._verify(made)

    async def _verify(self, made: Backup) -> None:
        try:
            await backup.verify(self._url, Path(made.path), keep_free_bytes=self._keep_free_bytes)
        except BackupError as error:
            untold = "" if isinstance(error, BackupInvalid) else UNTOLD
            await self._store.backups.verified(made.id, self._clock(), f"{untold}{error}")
            raise
        await self._store.backups.verified(made.id, self._clock(), None)
        log.info("archivist.made", path=made.path, size_bytes=made.size_bytes, jobs=made.counts.get("job", 0))
        await self._remove_old(Path(made.path))

    async def _remove_old(self, shown: Path) -> None:
        """Remove what is older than one that can be restored."""
        damaged = {Path(one.path) for one in await self._store.backups.newest(KEPT_MAX) if _is_damaged(one)}
        for path in await asyncio.to_thread(self._old, damaged):
            if path != shown:
                await asyncio.to_thread(path.unlink, missing_ok=True)
                await self._store.backups.removed(str(path))
                log.info("archivist.removed", path=str(path))

    def _old(self, damaged: set[Path]) -> list[Path]:
        now = f"{PREFIX}{backup.default_name(self._clock() + AHEAD_MS)}"
        made = set(self._folder.absolute().glob(f"{PREFIX}*{SUFFIX}"))
        # Those with a name of the future are from before a clock was put back.
        whole = sorted(made - damaged, key=lambda path: (path.name <= now, path.name), reverse=True)
        return [*whole[self._keep :], *sorted(made & damaged)]


def _is_damaged(one: Backup) -> bool:
    return one.verified_ms is None and one.fault is not None and not one.fault.startswith(UNTOLD)


def _is_left(one: Backup) -> bool:
    """Tell whether it is on this machine, and nobody knows yet whether it can be restored."""
    return one.verified_ms is None and not _is_damaged(one) and Path(one.path).exists()
