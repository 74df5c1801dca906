"""Who may read what machines ask for: the health of queues, and metrics."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from starlette.requests import Request

from api.auth import Authenticator
from jobs.errors import StoreUnavailable, Unavailable
from jobs.patience import Patience
from jobs.probe import ASK_S
from jobs.settings import Settings
from jobs.viewer import Role, Viewer

ANYBODY = Viewer(id="anybody", name="anybody", role=Role.VIEWER)
KNOWN_S = 900.0
"""While the database is away, whoever was let in within this time is let in still: to see that it is away."""
KNOWN_MAX = 100


class Monitors:
    """Finds the viewer behind a request of a monitor: anybody where the settings allow that."""

    def __init__(
        self, auth: Authenticator, settings: Settings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._auth = auth
        self._open = settings.metrics_open
        self._monotonic = monotonic
        self._patience = Patience()  # a late answer is not in vain: it answers the next question
        self._known: dict[bytes, tuple[float, Viewer]] = {}

    async def viewer(self, request: Request) -> Viewer | None:
        """Return who asks, None where nobody is signed in. Raises StoreUnavailable for who was not here before."""
        if self._open:
            return ANYBODY
        credentials = self._auth.credentials(request)
        if credentials is None:
            return None
        digest = hashlib.sha256(credentials.secret.encode(errors="replace")).digest()
        try:
            viewer = await self._patience.wait(self._auth.viewer(credentials), ASK_S)
        except (Unavailable, TimeoutError) as error:
            return self._recall(digest, error)
        self._known.pop(digest, None)
        if viewer is not None:
            self._known[digest] = (self._monotonic(), viewer)
            while len(self._known) > KNOWN_MAX:
                self._known.pop(next(iter(self._known)))
        return viewer

    async def close(self) -> None:
        """Ask no more."""
        await self._patience.close()

    def _recall(self, digest: bytes, error: Exception) -> Viewer:
        known = self._known.get(digest)
        if known is None or self._monotonic() - known[0] > KNOWN_S:
            raise StoreUnavailable("The database does not answer, and whose token this is is not known.") from error
        return known[1]
