"""The application: routes, and what every request passes before them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from api.auth import Authenticator, Hosts
from api.compression import Compression
from api.errors import away, formatted, problem
from api.gate import Gate
from api.health import Health, QueuesHealth
from api.metrics.endpoint import MetricsEndpoint
from api.metrics.scrape import Scrape
from api.monitor import Monitors
from api.page import Assets
from api.parts import Parts
from api.streams import Streams
from api.transport import GraphQLEndpoint
from api.websocket import SocketEndpoint
from jobs.client import Client
from jobs.clock import new_id
from jobs.errors import Unavailable
from jobs.lookout import Lookout
from jobs.settings import Settings

_COMPRESSED = Middleware(Compression)
"""Streams of events pass through as they are. Level 1 takes half the time of level 6, for answers an eighth larger."""


def create_app(client: Client, settings: Settings, streams: Streams, lookout: Lookout) -> ASGIApp:
    """Return the application. The client stays the caller's; `streams` lets the caller end what is open.

    Raises SettingInvalid where the trusted documents cannot be read.
    """
    parts = Parts.of(client, settings, streams)
    health, monitors = Health(lookout), Monitors(parts.auth, settings)
    scrape = Scrape(client, lookout, parts.traffic)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with contextlib.suppress(Unavailable):
            await parts.schema.refresh()
        follower = asyncio.create_task(parts.schema.follow(), name="schema follows tasks")
        try:
            yield
        finally:
            await parts.deadline.settle()
            await scrape.close()
            await monitors.close()
            follower.cancel()
            await asyncio.wait({follower})

    app = Starlette(
        routes=[
            Route("/", _home),
            Route("/graphql", GraphQLEndpoint(parts).answer, methods=["GET", "POST"], middleware=[_COMPRESSED]),
            WebSocketRoute("/graphql", SocketEndpoint(parts).serve),
            Route("/signin", SignIn(parts.auth).answer),
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            Route("/health", health.health),
            Route("/health/queues", QueuesHealth(client, monitors).answer),
            Route("/metrics", MetricsEndpoint(scrape, monitors).answer, middleware=[_COMPRESSED]),
            Mount("/dashboard", Assets()),
        ],
        exception_handlers={HTTPException: _http_error, Unavailable: _unavailable, Exception: _fault},
        lifespan=lifespan,
    )
    return Gate(app, Hosts(settings), parts.streams, new_id)


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
    return away(error)


async def _fault(_request: Request, error: Exception) -> Response:
    shown = formatted(error)
    return problem(500, "Internal Server Error", shown["message"], **shown["extensions"])
