"""Who may read what machines ask for: the health of queues, and metrics."""

from __future__ import annotations

from starlette.requests import Request

from api.auth import Authenticator
from jobs.settings import Settings
from jobs.viewer import Role, Viewer

ANYBODY = Viewer(id="anybody", name="anybody", role=Role.VIEWER)


class Monitors:
    """Finds the viewer behind a request of a monitor: anybody where the settings allow that."""

    def __init__(self, auth: Authenticator, settings: Settings) -> None:
        self._auth = auth
        self._open = settings.metrics_open

    async def viewer(self, request: Request) -> Viewer | None:
        """Return who asks, None where nobody is signed in. Raises StoreUnavailable."""
        return ANYBODY if self._open else await self._auth.viewer(self._auth.credentials(request))
