"""The application: routes, and what every request passes before them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Authenticator, Hosts
from api.errors import AWAY, formatted, problem
from api.health import Health
from api.page import Assets
from api.schema.live import LiveSchema
from api.streams import Streams
from api.transport import GraphQLEndpoint
from api.websocket import SocketEndpoint
from jobs.client import Client
from jobs.errors import Unavailable
from jobs.settings import Settings

_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def create_app(client: Client, settings: Settings, streams: Streams | None = None) -> Starlette:
    """Return the application. The client stays the caller's; `streams` lets the caller end what is open."""
    streams = streams or Streams()
    auth = Authenticator(client, settings)
    schema = LiveSchema(client.queries.task)
    health = Health(client, streams)
    sign_in = SignIn(auth).answer
    graphql = GraphQLEndpoint(client, schema, auth, streams, payload_max_bytes=settings.payload_max_bytes)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with contextlib.suppress(Unavailable):
            await schema.refresh()
        follower = asyncio.create_task(schema.follow(), name="schema follows tasks")
        try:
            yield
        finally:
            follower.cancel()
            await asyncio.wait({follower})

    return Starlette(
        routes=[
            Route("/", _home),
            Route("/graphql", graphql.answer, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", SocketEndpoint(client, schema, auth, streams).serve),
            Route("/signin", sign_in),
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            Mount("/dashboard", Assets()),
        ],
        middleware=[Middleware(Gate, hosts=Hosts(settings))],
        exception_handlers={HTTPException: _http_error, Unavailable: _unavailable, Exception: _fault},
        lifespan=lifespan,
    )


async def _home(_request: Request) -> Response:
    return RedirectResponse("/graphql", 307)


class SignIn:
    """The link that signs a browser in: a one-time code becomes a session."""

    def __init__(self, auth: Authenticator) -> None:
        self._auth = auth

    async def answer(self, request: Request) -> Response:
        """Answer with the session's cookie and lead to the page."""
        secret = await self._auth.sign_in(request.query_params.get("code", ""))
        if secret is None:
            return problem(401, "Unauthorized", "This sign-in link was used already, or is too old.", code="LINK_SPENT")
        response = RedirectResponse("/graphql", 303, headers={"cache-control": "no-store"})
        self._auth.set_cookie(response, secret, secure=request.url.scheme == "https")
        return response


class Gate:
    """Turns away requests for another host, and gives every answer the headers that protect it."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        names = Headers(scope=scope).getlist("host")
        if len(names) == 1 and self._hosts.allow(names[0]):
            await self._app(scope, receive, protected)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            detail = "This server has another name. QUEUEQL_ALLOWED_HOSTS says which names are right."
            response = problem(421, "Misdirected Request", detail, code="WRONG_HOST")
            await response(scope, receive, protected)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # Starlette calls it for nothing else
    return problem(
        error.status_code,
        error.detail,
        f"{error.detail}.",
        code=error.detail.upper().replace(" ", "_"),
        headers=error.headers,
    )


async def _unavailable(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)  # noqa: S101  # as above
    return problem(503, "Service Unavailable", AWAY, code=error.code, headers={"retry-after": "1"})


async def _fault(_request: Request, error: Exception) -> Response:
    shown = formatted(error)
    return problem(500, "Internal Server Error", shown["message"], **shown["extensions"])
