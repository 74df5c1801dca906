"""The stand-in's HTTP side: one GraphQL endpoint behind a token, a rate limit and faults."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import GraphQLSchema, assert_object_type, build_schema, graphql_sync

from examples.user_sync.stand_in.directory import Directory
from examples.user_sync.stand_in.trouble import Fault, Faults, RateLimit

_SDL = Path(__file__).with_name("schema.graphql")


@dataclass
class StandIn:
    """What the server serves, and how badly."""

    directory: Directory
    token: str
    faults: Faults = field(default_factory=Faults)
    rate_limit: RateLimit = field(default_factory=RateLimit)
    delay_s: float = 0.0
    """How long every answer takes."""
    slow_s: float = 30.0
    """How long a slow answer takes."""


def build_api(directory: Directory) -> GraphQLSchema:
    """Make the schema of schema.graphql, answered by the directory."""
    schema = build_schema(_SDL.read_text(encoding="utf-8"))
    fields = {name: assert_object_type(schema.type_map[name]).fields for name in ("Query", "Mutation", "User")}
    fields["Query"]["users"].resolve = lambda _root, _info, first, after=None, where=None: directory.page(
        first, after, where or {}
    )
    fields["Mutation"]["usersTouch"].resolve = lambda _root, _info, count: directory.touch(count)
    fields["User"]["updatedAt"].resolve = lambda user, _info: user.updated_at
    return schema


def build_app(stand_in: StandIn) -> web.Application:
    """Make the server's application: `POST /graphql`."""
    schema = build_api(stand_in.directory)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {stand_in.token}":
            return _refusal(401, "The token is not valid.", {"code": "UNAUTHENTICATED"})
        wait_s = stand_in.rate_limit.admit()
        if wait_s:
            return _throttled(wait_s, as_data=stand_in.rate_limit.refused % 2 == 0)
        await asyncio.sleep(stand_in.delay_s)
        match stand_in.faults.next():
            case Fault.SERVER_ERROR:
                return web.Response(status=500, text="The directory stumbled.")
            case Fault.SLOW:
                await asyncio.sleep(stand_in.slow_s)
            case Fault.BROKEN_CONNECTION:
                return _break(request)
        return _execute(schema, await request.json())

    app = web.Application()
    app.router.add_post("/graphql", answer)
    return app


def _execute(schema: GraphQLSchema, body: dict[str, Any]) -> web.Response:
    result = graphql_sync(schema, body["query"], variable_values=body.get("variables"))
    return web.json_response(result.formatted)


def _throttled(wait_s: float, *, as_data: bool) -> web.Response:
    """APIs say it in one of two ways: the status 429, or 200 with an error that has a code."""
    message = "Too many requests."
    if as_data:
        return _refusal(200, message, {"code": "THROTTLED", "retryAfter": round(wait_s, 3)})
    response = _refusal(429, message, {"code": "THROTTLED"})
    response.headers["Retry-After"] = str(math.ceil(wait_s))
    return response


def _refusal(status: int, message: str, extensions: dict[str, Any]) -> web.Response:
    return web.json_response({"data": None, "errors": [{"message": message, "extensions": extensions}]}, status=status)


def _break(request: web.Request) -> web.Response:
    """Cut the connection before the first byte."""
    if request.transport:
        request.transport.abort()
    return web.Response()
