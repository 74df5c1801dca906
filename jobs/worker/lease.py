"""Keeps the worker's lease alive from a thread, so that no task can hinder it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import structlog

from jobs.broker import Renewal, Session, Vitals, WorkerWish
from jobs.errors import BrokerUnavailable

log = structlog.get_logger(__name__)


class Lease:
    """Renews a session's lease every `every_s` seconds, and passes on what needs to be acted on.

    `vitals` is called in the thread, `heard` in the loop.
    """

    def __init__(
        self, session: Session, every_s: float, vitals: Callable[[], Vitals], heard: Callable[[Renewal], None]
    ) -> None:
        self._session = session
        self._every_s = every_s
        self._vitals = vitals
        self._heard = heard
        self._wish: WorkerWish | None = None
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def _run(self) -> None:
        away = False
        while not self._stop.wait(self._every_s):
            try:
                renewal = self._session.renew(self._vitals())
            except BrokerUnavailable:  # said for the whole process at once
                continue
            except Exception as error:  # whatever it is: a thread that ends here would lose all jobs
                if not away:
                    log.warning("lease.not_renewed", error=str(error))
                away = True
                continue
            if away:
                log.info("lease.renewed_again")
            away = False
            if renewal.lost or renewal.cancelled or renewal.is_new_epoch or renewal.wish != self._wish:
                self._pass_on(renewal)
            self._wish = renewal.wish
            if renewal.lost:
                return

    def _pass_on(self, renewal: Renewal) -> None:
        try:
            self._loop.call_soon_threadsafe(self._heard, renewal)
        except RuntimeError:  # the loop is closed
            self._stop.set()

    async def stop(self) -> None:
        """End the thread, after the renewal that is under way."""
        self._stop.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)
