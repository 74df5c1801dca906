"""Whether the process lives, and whether it can do its work. Open to all: says nothing about what is in it."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.streams import Streams
from jobs import probe
from jobs.client import Client


class Health:
    """The two questions that a supervisor asks."""

    def __init__(self, client: Client, streams: Streams) -> None:
        self._client = client
        self._streams = streams

    async def live(self, _request: Request) -> Response:
        """Answer 200 while the process runs its loop."""
        return PlainTextResponse("ok\n", headers={"cache-control": "no-store"})

    async def ready(self, _request: Request) -> Response:
        """Answer 200 where every component makes progress, else 503 with what does not."""
        answer = probe.readiness(await self.parts())
        headers = {"cache-control": "no-store"}
        return Response(msgspec.json.encode(answer.body), answer.status, headers, answer.media_type)

    async def parts(self) -> list[probe.Health]:
        """Say how every component is, the server among them. Never raises."""
        stopping = self._streams.stopping
        server = probe.Health("server", not stopping, "The server stops." if stopping else "The server answers.")
        return [*await self._client.health(), server]
