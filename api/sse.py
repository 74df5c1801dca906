"""Server-sent events, as the graphql-sse protocol has them (distinct connections): `next`, then `complete`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.body import encode
from api.execution.operation import Rejected
from api.metrics.traffic import Traffic
from api.streams import RECHECK_S, Streams, still_signed_in
from jobs.viewer import Viewer

HEARTBEAT_S = 10.0
"""A comment is sent so often where nothing else is, so that a lost connection shows on both sides."""

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_COMPLETE = b"event: complete\ndata:\n\n"
_COMMENT = b":\n\n"


def single(result: dict[str, Any]) -> Response:
    """Answer a query or mutation of a client that reads nothing but events."""
    return Response(_next(encode(result)) + _COMPLETE, headers=_HEADERS)


def _next(result: bytes) -> bytes:
    return b"event: next\ndata: " + result + b"\n\n"


class EventStream(Response):
    """Streams a subscription until it ends, the client or the server goes away, or the viewer is signed out."""

    def __init__(
        self,
        results: AsyncGenerator[bytes, None],
        streams: Streams,
        traffic: Traffic,
        viewer: Callable[[], Awaitable[Viewer | None]],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._results = results
        self._streams = streams
        self._traffic = traffic
        self._viewer = viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ends = [asyncio.create_task(_left(receive)), asyncio.create_task(self._streams.stopped())]
        try:
            await _write(send, _COMMENT)  # the headers go out at once, so that the client knows that it is subscribed
            if await self._end(send, ends):
                await _write(send, _COMPLETE)
            if not ends[0].done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for end in ends:
                end.cancel()
            await self._results.aclose()

    async def _end(self, send: Send, ends: list[asyncio.Task[None]]) -> bool:
        """Deliver up to the end, and tell whether it was the subscription's own."""
        try:
            with self._traffic.subscription("sse"):
                return await self._deliver(send, ends)
        except Rejected as rejected:
            await _write(send, _next(encode({"errors": rejected.errors})))
            return True

    async def _step(self) -> bytes | None:
        return await anext(self._results, None)

    async def _deliver(self, send: Send, ends: list[asyncio.Task[None]]) -> bool:
        """Send results. True: the subscription came to its own end, and the client should not come back for more."""
        quiet_s = 0.0
        step = asyncio.create_task(self._step())
        try:
            while True:
                waiting: set[asyncio.Task[Any]] = {step, *ends}
                await asyncio.wait(waiting, timeout=RECHECK_S, return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    return False
                if step.done():
                    result = step.result()
                    if result is None:
                        return True
                    await _write(send, _next(result))
                    quiet_s, step = 0.0, asyncio.create_task(self._step())
                    continue
                if not await still_signed_in(self._viewer):
                    return False
                quiet_s += RECHECK_S
                if quiet_s >= HEARTBEAT_S:
                    quiet_s = 0.0
                    await _write(send, _COMMENT)
        finally:
            step.cancel()
            await asyncio.wait({step})


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _left(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
