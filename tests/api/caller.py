"""A client of the API, over HTTP and WebSocket."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from api.websocket import PROTOCOL

GRAPHQL = "application/graphql-response+json"


class Answer:
    """A response, read to its end."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def media_type(self) -> str:
        return str(self.headers.get("content-type", "")).partition(";")[0]


class Caller:
    """Sends requests with a bearer token, or with none."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self.token = token
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def cookies(self) -> str:
        """What a browser would send as its cookies."""
        return "; ".join(f"{cookie.key}={cookie.value}" for cookie in self._http.cookie_jar)

    def _headers(self, given: dict[str, str]) -> dict[str, str]:
        return ({"authorization": f"Bearer {self.token}"} if self.token else {}) | given

    async def request(
        self, method: str, path: str = "/graphql", headers: dict[str, str] | None = None, **more: Any
    ) -> Answer:
        url = f"http://{self.address}{path}"
        async with self._http.request(
            method, url, headers=self._headers(headers or {}), allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def post(self, query: Any, variables: Any = None, *, accept: str = GRAPHQL, **headers: str) -> Answer:
        """Send a document."""
        body = {"query": query, **({"variables": variables} if variables is not None else {})}
        given = {"accept": accept, **{name.replace("_", "-"): value for name, value in headers.items()}}
        given["content-type"] = "application/json"
        return await self.request("POST", headers=given, data=io.BytesIO(json.dumps(body).encode()))

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a document that has to succeed; return its data."""
        answer = await self.post(query, variables)
        assert answer.status == 200, answer.body
        assert "errors" not in answer.json, answer.body
        data: dict[str, Any] = answer.json["data"]
        return data

    async def errors(self, query: str, **variables: Any) -> list[dict[str, Any]]:
        """Send a document that has to fail; return its errors."""
        answer = await self.post(query, variables)
        errors: list[dict[str, Any]] = answer.json["errors"]
        return errors

    @asynccontextmanager
    async def events(self, query: str, accept: str = "text/event-stream", **variables: Any) -> AsyncIterator[Events]:
        """Subscribe over server-sent events."""
        headers = self._headers({"accept": accept})
        body = {"query": query, "variables": variables}
        async with self._http.post(f"http://{self.address}/graphql", headers=headers, json=body) as answer:
            assert answer.status == 200, await answer.read()
            yield Events(answer)

    @asynccontextmanager
    async def raw_socket(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """Open a WebSocket and say nothing yet."""
        options.setdefault("subprotocols", [PROTOCOL])
        async with connect(f"ws://{self.address}/graphql", **options) as socket:
            yield socket

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        """Open a WebSocket and sign in."""
        async with self.raw_socket() as raw:
            socket = Socket(raw)
            await socket.send(type="connection_init", payload={"Authorization": f"Bearer {self.token}"})
            assert await socket.receive() == {"type": "connection_ack"}
            yield socket


class Events:
    """A stream of server-sent events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.raw = b""

    async def next(self) -> tuple[str, Any]:
        """The next event and its data."""
        name, data = "", ""
        while line := await self.answer.content.readline():
            self.raw += line
            key, _, value = line.decode().rstrip("\n").partition(":")
            if key == "event":
                name = value.strip()
            elif key == "data":
                data = value.strip()
            elif not line.strip() and name:
                return name, json.loads(data) if data else None
        return "", None


class Socket:
    """A WebSocket that speaks graphql-transport-ws."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def send(self, **message: Any) -> None:
        await self.raw.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.raw.recv())
        return message

    async def subscribe(self, operation_id: str, query: str, **variables: Any) -> None:
        await self.send(id=operation_id, type="subscribe", payload={"query": query, "variables": variables})

    async def next(self, operation_id: str) -> dict[str, Any]:
        """The next result of an operation, whose turn it has to be."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", operation_id), message
        payload: dict[str, Any] = message["payload"]
        assert "errors" not in payload, payload
        return payload
