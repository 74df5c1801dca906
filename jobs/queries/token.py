"""Queries about access."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from jobs.clock import Clock
from jobs.store import Store
from jobs.viewer import Viewer

HOLDS_MS = 4_000
"""A token that was revoked is refused after this time at the latest."""
KEPT_MAX = 10_000


class TokenQueries:
    """Who is behind a secret."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[int, Viewer]] = OrderedDict()

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
        return viewer
