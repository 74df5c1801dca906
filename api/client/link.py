"""The way to the API: queries and mutations over HTTP, subscriptions over a WebSocket that is opened again."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp

from api.client.address import Address
from jobs.errors import ApiFault, ApiUnreachable, CommandError, Missing, Refused, TokenRefused

ANSWER_S = 60.0
"""A query or mutation is answered within this time, or counts as lost."""
CONNECT_S = 5.0
SILENCE_S = 10.0
"""A WebSocket whose other end does not answer a ping for half of this counts as broken."""
MESSAGE_MAX = 64 * 1024 * 1024
PAUSE_FIRST_S, PAUSE_MAX_S = 0.2, 10.0

_PROTOCOL = "graphql-transport-ws"
_SIGNED_OUT = {4401, 4403}
_AWAY_CODES = {"UNAVAILABLE", "STORE_UNAVAILABLE", "BROKER_UNAVAILABLE", "DISK_FULL", "EPOCH_CHANGED", "INTERNAL"}

Variables = dict[str, Any]


class Away(ApiFault):
    """The API, or a part that it needs, does not answer now. Whoever is patient asks again."""


class Link:
    """A client of one API. `say` is told once when the connection is lost, and once when it is back."""

    def __init__(self, session: aiohttp.ClientSession, address: Address, say: Callable[[str], None]) -> None:
        self.address = address
        self._session = session
        self._say = say
        self._rng = random.Random()  # noqa: S311  # it spreads clients that come back, and keeps no secret
        self._is_lost = False
        self._headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}

    async def run(self, document: str, variables: Variables | None = None) -> dict[str, Any]:
        """Run a query or mutation. Raises CommandError."""
        body = {"query": document, "variables": variables or {}}
        headers = {**self._headers, "Accept": "application/json"}
        return self._read(*await self._ask(self._session.post(self.address.endpoint, json=body, headers=headers)))

    async def health(self) -> dict[str, Any]:
        """Return what /health says: `status` is `healthy`, or the problem's 503; `components`. Raises CommandError."""
        status, text = await self._ask(self._session.get(f"{self.address.url}/health"))
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("components"), dict):
            return said
        raise self._refusal(status, "")

    async def stream(self, document: str, variables: Callable[[], Variables]) -> AsyncIterator[dict[str, Any] | None]:
        """Yield what a subscription delivers, until it ends by itself; None where it had to be begun anew.

        `variables` is asked again each time, so that it can go on where it was. Raises CommandError: where the first
        connection fails, and where the API does not want this subscription.
        """
        pauses, has_begun = self._pauses(), False
        while True:
            try:
                async for data in self._subscribe(document, variables()):
                    if data is not None:
                        pauses = self._pauses()
                        yield data
                    elif has_begun:
                        self._back()
                        yield None
                    else:
                        has_begun = True
            except (ApiUnreachable, Away):
                if not has_begun:
                    raise
                self._lost()
            else:
                return
            await asyncio.sleep(next(pauses))

    async def _subscribe(self, document: str, variables: Variables) -> AsyncIterator[dict[str, Any] | None]:
        """Yield None once the connection stands, then results."""
        try:
            async with self._session.ws_connect(
                self.address.endpoint,
                protocols=[_PROTOCOL],
                headers=self._headers,
                heartbeat=SILENCE_S,
                max_msg_size=MESSAGE_MAX,
            ) as socket:
                # Browsers cannot set headers, so the protocol has a place of its own for them; proxies may drop ours.
                await socket.send_json({"type": "connection_init", "payload": self._headers})
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    said = json.loads(message.data)
                    match said.get("type"):
                        case "connection_ack":
                            request = {"query": document, "variables": variables}
                            await socket.send_json({"id": "1", "type": "subscribe", "payload": request})
                            yield None
                        case "next":
                            yield self._data(said["payload"])
                        case "error":
                            self._data({"errors": said["payload"]})
                        case "ping":
                            await socket.send_json({"type": "pong"})
                        case "complete":
                            return
                code = socket.close_code
        except aiohttp.WSServerHandshakeError as error:
            raise self._refusal(error.status, "") from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from None
        if code in _SIGNED_OUT:
            raise self._token_refused()
        raise Away(f"The API at {self.address.url} closed the connection.")

    async def _ask(self, request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(ANSWER_S), request as response:
                return response.status, await response.read()
        except TimeoutError:
            raise Away(f"The API at {self.address.url} did not answer within {ANSWER_S:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from None

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and ("data" in answer or "errors" in answer):
            return self._data(answer)
        detail = str(answer.get("detail", "")) if isinstance(answer, dict) else ""
        raise self._refusal(status, detail)

    def _refusal(self, status: int, detail: str) -> CommandError:
        """Return what an answer means that is not GraphQL."""
        if status == 401:
            return self._token_refused()
        if status in {502, 503, 504}:
            return Away(f"The API at {self.address.url} cannot answer now (HTTP status {status}).")
        if detail:
            return Refused(f"The API at {self.address.url} refused: {detail}", reason=str(status))
        return ApiFault(f"What answers at {self.address.url} is no QueueQL API (HTTP status {status}).")

    def _data(self, payload: dict[str, Any]) -> dict[str, Any]:
        errors = payload.get("errors")
        if not errors:
            data: dict[str, Any] = payload["data"]
            return data
        first = errors[0]
        code = str(first.get("extensions", {}).get("code", ""))
        if code == "NOT_FOUND":
            raise Missing(first["message"], reason=code)
        if code in _AWAY_CODES:
            raise Away(first["message"])
        raise Refused(first["message"], reason=code)

    def _token_refused(self) -> TokenRefused:
        if not self.address.token:
            return TokenRefused(
                f"The API at {self.address.url} wants a token: give one with --token or QUEUEQL_TOKEN, or name the "
                "data folder of `queueql up` with QUEUEQL_DATA."
            )
        return TokenRefused(f"The API at {self.address.url} does not accept the token from {self.address.source}.")

    def _unreachable(self, error: Exception) -> ApiUnreachable:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        return ApiUnreachable(
            f"No API answers at {self.address.url} ({reason}): start `queueql up`, or say where it is with --url or "
            "QUEUEQL_URL."
        )

    def _pauses(self) -> Iterator[float]:
        pause_s = PAUSE_FIRST_S
        while True:
            yield pause_s * self._rng.uniform(0.75, 1.25)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._say(f"The API at {self.address.url} is away; trying again until it is back.")

    def _back(self) -> None:
        if self._is_lost:
            self._is_lost = False
            self._say("The API is back.")
