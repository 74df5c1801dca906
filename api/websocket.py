"""GraphQL over WebSocket: the protocol graphql-transport-ws, one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api.auth import Credentials, foreign, from_payload
from api.body import NotJson, decode, encode, not_unicode
from api.errors import formatted
from api.execution.operation import Operation, Rejected, Request
from api.parts import Parts
from api.streams import RECHECK_S, still_signed_in
from jobs.errors import Unavailable
from jobs.viewer import Viewer

log = structlog.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"
INIT_S = 10.0
"""connection_init has to arrive within this time."""
OPERATIONS_MAX = 100
"""Operations that one connection may have open."""
FRAME_MAX = 64 * 1024
"""Largest message of a client, in bytes."""

BAD_MESSAGE, UNAUTHORIZED, FORBIDDEN, BAD_PROTOCOL = 4400, 4401, 4403, 4406
INIT_TIMEOUT, SUBSCRIBER_EXISTS, TOO_MANY_INITS = 4408, 4409, 4429
GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013


class Closed(Exception):
    """The connection has to end. `code` and `reason` tell the client why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SocketEndpoint:
    """Accepts WebSockets at /graphql."""

    def __init__(self, parts: Parts) -> None:
        self.client = parts.client
        self.schema = parts.schema
        self.auth = parts.auth
        self.streams = parts.streams
        self.documents = parts.documents
        self.deadline = parts.deadline
        self.traffic = parts.traffic

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection to its end. A page of another site is refused with 403, before anything is accepted."""
        if foreign(socket.headers):
            await socket.close()
            return
        if PROTOCOL not in socket.scope.get("subprotocols", ()):
            await socket.accept()
            await socket.close(BAD_PROTOCOL, f"Subprotocol not acceptable; use {PROTOCOL}")
            return
        await socket.accept(PROTOCOL)
        await Connection(self, socket).serve()


class Connection:
    """One connection: reads messages, runs operations beside each other, and ends with all of them."""

    def __init__(self, endpoint: SocketEndpoint, socket: WebSocket) -> None:
        self._endpoint = endpoint
        self._socket = socket
        self._credentials: Credentials | None = None
        self._initialised = False
        self._signed_in = asyncio.Event()
        self._operations: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Serve until either side goes away."""
        ends = [
            asyncio.create_task(self._read(), name="socket reads"),
            asyncio.create_task(self._watch(), name="socket access"),
            asyncio.create_task(self._stopped(), name="socket stops"),
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        except Closed as closed:
            await self._close(closed.code, closed.reason)
        except WebSocketDisconnect:
            pass
        finally:
            tasks = [*ends, *self._operations.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stopped(self) -> None:
        await self._endpoint.streams.stopped()
        raise Closed(GOING_AWAY, "The server stops; connect again")

    async def _watch(self) -> None:
        """Send away those who do not sign in, and later those who are not signed in any more."""
        try:
            await asyncio.wait_for(self._signed_in.wait(), INIT_S)
        except TimeoutError:
            raise Closed(INIT_TIMEOUT, "Connection initialisation timeout") from None
        while await still_signed_in(self._find_viewer):  # noqa: ASYNC110  # what is waited for is in the database
            await asyncio.sleep(RECHECK_S)
        raise Closed(FORBIDDEN, "Forbidden")

    async def _find_viewer(self) -> Viewer | None:
        return await self._endpoint.auth.viewer(self._credentials)

    async def _read(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code") or GOING_AWAY)
            text = received.get("text")
            if text is None:
                raise Closed(BAD_MESSAGE, "Messages must be text")
            try:
                message = decode(text)
            except NotJson:
                raise Closed(BAD_MESSAGE, "Messages must be JSON") from None
            if not isinstance(message, dict):
                raise Closed(BAD_MESSAGE, "Messages must be JSON objects")
            await self._handle(message)

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                await self._init(message.get("payload"))
            case "ping":
                await self._send({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._end(message.get("id"))
            case other:
                raise Closed(BAD_MESSAGE, f"Unknown message type {str(other)[:40]!r}")

    async def _init(self, payload: object) -> None:
        if self._initialised:
            raise Closed(TOO_MANY_INITS, "Too many initialisation requests")
        if not isinstance(payload, dict | None):
            raise Closed(BAD_MESSAGE, "The payload of connection_init must be an object")
        self._initialised = True
        self._credentials = from_payload(payload or {}) or self._endpoint.auth.credentials(self._socket)
        try:
            viewer = await self._find_viewer()
        except Unavailable:
            raise Closed(TRY_AGAIN_LATER, "Not available now") from None
        if viewer is None:
            raise Closed(FORBIDDEN, "Forbidden")
        self._signed_in.set()
        await self._send({"type": "connection_ack"})

    async def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._signed_in.is_set():
            raise Closed(UNAUTHORIZED, "Unauthorized")
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not operation_id:
            raise Closed(BAD_MESSAGE, "The id of an operation must be a text")
        if not_unicode(operation_id, "id"):
            raise Closed(BAD_MESSAGE, "The id of an operation must be valid Unicode")
        if operation_id in self._operations:
            raise Closed(SUBSCRIBER_EXISTS, f"Subscriber for {operation_id[:40]} already exists")
        if not isinstance(message.get("payload"), dict):
            raise Closed(BAD_MESSAGE, "The payload of subscribe must be an object")
        if len(self._operations) >= OPERATIONS_MAX:
            fault = {
                "message": f"At most {OPERATIONS_MAX} operations may be open.",
                "extensions": {"code": "THROTTLED"},
            }
            await self._send({"id": operation_id, "type": "error", "payload": [fault]})
            return
        task = asyncio.create_task(self._run(operation_id, message["payload"]), name="socket operation")
        self._operations[operation_id] = task

    def _end(self, operation_id: object) -> None:
        task = self._operations.pop(operation_id, None) if isinstance(operation_id, str) else None
        if task is not None:
            task.cancel()

    async def _run(self, operation_id: str, payload: dict[str, Any]) -> None:
        """Run one operation, with loaders and a look at the viewer's access of its own."""
        try:
            viewer = await self._find_viewer()
            if viewer is None:
                await self._close(FORBIDDEN, "Forbidden")
                return
            endpoint, traffic = self._endpoint, self._endpoint.traffic
            with traffic.preparing():
                asked = Request.read(endpoint.documents.complete(payload))
                operation = Operation.prepare(endpoint.schema.current, asked)
            if operation.is_subscription:
                with traffic.subscription("websocket"):
                    await self._deliver(operation_id, operation.stream(endpoint.client, viewer))
            else:
                running = endpoint.deadline.run(operation, endpoint.client, viewer)
                result = await traffic.run(operation.is_mutation, running)
                await self._send({"id": operation_id, "type": "next", "payload": result})
            last: dict[str, Any] = {"id": operation_id, "type": "complete"}
        except Rejected as rejected:
            last = {"id": operation_id, "type": "error", "payload": rejected.errors}
        except Exception as error:  # masked and logged in `formatted`; the other operations go on
            last = {"id": operation_id, "type": "error", "payload": [formatted(error)]}
        # The id is free again before the client can know that it is.
        self._operations.pop(operation_id, None)
        await self._send(last)

    async def _deliver(self, operation_id: str, results: AsyncGenerator[bytes, None]) -> None:
        beginning = b'{"id":' + encode(operation_id) + b',"type":"next","payload":'
        try:
            async for result in results:
                await self._send_text((beginning + result + b"}").decode())
        finally:
            await results.aclose()

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(encode(message).decode())

    async def _send_text(self, text: str) -> None:
        """Send a message. One that cannot be sent any more is dropped: whoever reads learns of the end first."""
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await self._socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                log.debug("api.socket_gone")

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await self._socket.close(code, reason)
            except (WebSocketDisconnect, RuntimeError):
                log.debug("api.socket_gone")
