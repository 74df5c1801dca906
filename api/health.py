"""Whether the process lives, and whether it can do its work. Open to all: says nothing about what is in it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from api.errors import problem
from api.streams import Streams
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
        parts = await self._client.health()
        components = {name: {"ok": ok, "detail": sentence} for name, ok, sentence in parts}
        failing = [f"{name}: {sentence}" for name, ok, sentence in parts if not ok]
        if self._streams.stopping:
            failing.append("The server stops.")
        headers = {"cache-control": "no-store"}
        if failing:
            detail = " ".join(failing)
            return problem(503, "Not ready", detail, code="NOT_READY", headers=headers, components=components)
        return JSONResponse({"status": "ready", "components": components}, headers=headers)
