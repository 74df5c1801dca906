"""Queries about access."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict

import structlog

from jobs.clock import Clock
from jobs.ending import end
from jobs.errors import StoreUnavailable
from jobs.store import Store
from jobs.store.token import USED_MS
from jobs.viewer import Viewer

log = structlog.get_logger(__name__)

GATHER_S = 1.0
"""Uses of tokens are gathered for so long before they are written."""
HOLDS_MS = 4_000
"""A token that was revoked is refused after this time at the latest."""
KEPT_MAX = 10_000


class TokenQueries:
    """Who is behind a secret."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[int, Viewer]] = OrderedDict()
        self._noted: OrderedDict[str, int] = OrderedDict()
        """When each token was last said to be used."""
        self._used: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def authenticate(self, secret: str) -> Viewer | None:
        """Return the viewer whose token this is; None where it is unknown, expired or revoked.

        An answer may be up to 4 seconds old. Raises StoreUnavailable.
        """
        try:
            digest = hashlib.sha256(secret.encode()).digest()
        except UnicodeEncodeError:  # half of a surrogate pair: nobody's
            return None
        now = self._clock()
        known = self._known.get(digest)
        if known and 0 <= now - known[0] < HOLDS_MS:
            return known[1]
        self._known.pop(digest, None)
        viewer = await self._store.tokens.authenticate(secret)
        if viewer is not None:
            self._known[digest] = (now, viewer)
            while len(self._known) > KEPT_MAX:
                self._known.popitem(last=False)
            self._note(viewer.id, now)
        return viewer

    # When a token was last used is written beside the requests, none of which waits for it

    def _note(self, token_id: str, now_ms: int) -> None:
        if now_ms - self._noted.get(token_id, 0) < USED_MS:
            return
        self._noted[token_id] = self._used[token_id] = now_ms
        self._noted.move_to_end(token_id)
        while len(self._noted) > KEPT_MAX:
            self._used.pop(self._noted.popitem(last=False)[0], None)
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="token use")
        self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            used, self._used = self._used, {}
            try:
                await self._store.tokens.note_use(used)
            except StoreUnavailable as error:  # it is written with the next use, a minute later
                log.info("token.use_not_written", tokens=len(used), reason=str(error))
            except Exception:  # the loop serves all requests of the process; it must outlive any one fault
                log.exception("token.use_fault")
            await asyncio.sleep(GATHER_S)

    async def close(self) -> None:
        """Write no more."""
        await end(self._task)
        self._task = None
