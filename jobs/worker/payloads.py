"""Arguments that stayed in the store: fetched when their job runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from jobs import outcome
from jobs.errors import StoreUnavailable
from jobs.job import Failure, JobSpec, Reason

log = structlog.get_logger(__name__)

AT_A_TIME = 8
"""So much of them may be in memory at once for nothing but their way."""
WAIT_S = 10.0
"""How long an attempt waits for the store; it waits on as a job."""
RETRY_S = 0.5
LATER_MS = 5_000
NO_STORE_MS = 30_000

Read = Callable[[str], Awaitable[bytes | None]]
"""Returns the arguments of a job as JSON, None where there is no such job. Raises StoreUnavailable."""


class NotFetched(Exception):
    """The arguments are not here. The message says why, `outcome` how the attempt ends."""

    def __init__(self, message: str, ended: outcome.Outcome) -> None:
        super().__init__(message)
        self.outcome = ended


class Payloads:
    """Fetches arguments for one process. `read`: None where this process has no store."""

    def __init__(self, read: Read | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._room = asyncio.Semaphore(AT_A_TIME)
        self._away = False

    async def complete(self, spec: JobSpec) -> JobSpec:
        """Return the job with its arguments. Raises NotFetched; no attempt is charged for that."""
        if not spec.payload_bytes:
            return spec
        if self._read is None:
            raise NotFetched(
                f"The arguments ({spec.payload_bytes:,} bytes) are in the database, and this worker has none:"
                " start it with QUEUEQL_DATABASE_URL, or let another worker serve the queue.",
                outcome.Snooze(NO_STORE_MS),
            )
        async with self._room:
            args = await self._insist(self._read, spec.id)
        if args is None:
            gone = "The database does not have the arguments of this job any more."
            raise NotFetched(gone, outcome.Die(Reason.NOT_RETRYABLE, Failure(type="PAYLOAD_GONE", message=gone)))
        return msgspec.structs.replace(spec, args=msgspec.Raw(args), payload_bytes=0)

    async def _insist(self, read: Read, job_id: str) -> bytes | None:
        deadline = self._monotonic() + WAIT_S
        while True:
            try:
                args = await read(job_id)
            except StoreUnavailable as error:
                self._note(str(error))
                if self._monotonic() >= deadline:
                    message = f"The arguments could not be fetched, and the job waits for that. {error}"
                    raise NotFetched(message, outcome.Snooze(LATER_MS)) from error
                await asyncio.sleep(RETRY_S)
            else:
                self._note("")
                return args

    def _note(self, fault: str) -> None:
        """Say once that jobs wait for the store."""
        if fault and not self._away:
            log.warning("worker.payloads_wait", reason=fault)
        elif self._away and not fault:
            log.info("worker.payloads_go_on")
        self._away = bool(fault)
