"""What every request passes first and every answer last."""

from __future__ import annotations

import re

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Hosts
from api.errors import problem
from api.streams import Streams
from jobs.clock import NewId

REQUEST_ID = "x-request-id"
_SANE = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class Gate:
    """Turns away requests for another host, and gives every request an id and every answer its headers.

    The id is the caller's where that is sane, and is in all that is logged for the request. While the server stops,
    answers tell clients not to send another request on the same connection.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, streams: Streams, new_id: NewId) -> None:
        self._app = app
        self._hosts = hosts
        self._streams = streams
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        given = asked.get(REQUEST_ID, "")
        request_id = given if _SANE.fullmatch(given) else self._new_id()

        async def shown(message: Message) -> None:
            if message["type"] in _STARTS:
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                if message["type"] != "websocket.accept":
                    self._protect(headers)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            names = asked.getlist("host")
            if len(names) == 1 and self._hosts.allow(names[0]):
                await self._app(scope, receive, shown)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await _wrong_host()(scope, receive, shown)

    def _protect(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if self._streams.stopping:
            headers["connection"] = "close"


def _wrong_host() -> Response:
    detail = "This server has another name. QUEUEQL_ALLOWED_HOSTS says which names are right."
    return problem(421, "Misdirected Request", detail, code="WRONG_HOST")
