"""Compressed answers, for clients that take them."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.negotiation import qualities

SIZE_MIN = 1_024
_LEVEL = 1
"""The fastest: most of what can be saved is saved by it."""


class Compression(GZipMiddleware):
    """Starlette's, which takes a client that refuses gzip (`gzip;q=0`) for one that wants it."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=SIZE_MIN, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and qualities(Headers(scope=scope).get("accept-encoding", "")).get("gzip") == 0:
            headers = MutableHeaders(raw=list(scope["headers"]))
            del headers["accept-encoding"]
            scope = {**scope, "headers": headers.raw}
        await super().__call__(scope, receive, send)
