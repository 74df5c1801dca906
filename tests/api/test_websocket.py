"""The protocol graphql-transport-ws, word by word."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from api import websocket
from api.websocket import FRAME_MAX, OPERATIONS_MAX
from tests.api.caller import Caller, Socket

LIVE = "subscription {jobEvents {endCursor}}"


async def closed(socket: Socket) -> int | None:
    """Read on until the server closes; return its code."""
    async with asyncio.timeout(5):
        await socket.raw.wait_closed()
    return socket.raw.close_code


async def test_messages_that_end_the_connection(api: Caller) -> None:
    wrong: list[tuple[Any, int]] = [
        (b"{}", 4400),
        ("{", 4400),
        ("[]", 4400),
        ("1", 4400),
        ("{}", 4400),
        ('{"type": 1}', 4400),
        ('{"type": "start"}', 4400),
        ('{"type": "connection_init"}', 4429),
        ('{"type": "subscribe", "payload": {"query": "{__typename}"}}', 4400),
        ('{"type": "subscribe", "id": 1, "payload": {"query": "{__typename}"}}', 4400),
        ('{"type": "subscribe", "id": "", "payload": {"query": "{__typename}"}}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": "x"}', 4400),
        (r'{"type": "subscribe", "id": "b\ud800", "payload": {"query": "{__typename}"}}', 4400),
        (r'{"type": "\ud800"}', 4400),
        (r'{"type": "connection_init", "payload": {"Authorization": "Bearer \ud800"}}', 4429),
        ('{"type": "ping", "payload": ' + "[" * 20_000 + "]" * 20_000 + "}", 4400),
        (json.dumps({"type": "ping", "payload": {"x": "a" * FRAME_MAX}}), 1009),
    ]
    for message, code in wrong:
        async with api.socket() as socket:
            await socket.raw.send(message)
            assert await closed(socket) == code, str(message)[:60]


async def test_nothing_before_the_first_message(api: Caller) -> None:
    async with api.raw_socket() as raw:
        await Socket(raw).subscribe("1", "{__typename}")
        assert await closed(Socket(raw)) == 4401
    async with api.raw_socket() as raw:
        await raw.send('{"type": "connection_init", "payload": []}')
        assert await closed(Socket(raw)) == 4400


async def test_the_first_message_has_to_come(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_S", 0.1)
    async with api.raw_socket() as raw:
        assert await closed(Socket(raw)) == 4408


@pytest.mark.parametrize("protocols", [None, ["graphql-ws"], ["soap"]])
async def test_other_protocols_are_refused(api: Caller, protocols: list[str] | None) -> None:
    async with api.raw_socket(subprotocols=protocols) as raw:
        assert await closed(Socket(raw)) == 4406


async def test_an_id_that_is_in_use(api: Caller) -> None:
    async with api.socket() as socket:
        await socket.subscribe("1", LIVE)
        await socket.subscribe("1", LIVE)
        assert await closed(socket) == 4409


async def test_ping(api: Caller) -> None:
    async with api.socket() as socket:
        await socket.send(type="pong")
        await socket.send(type="ping", payload={"x": 1})
        assert await socket.receive() == {"type": "pong"}


async def test_operations_that_cannot_run_end_by_themselves(api: Caller) -> None:
    async with api.socket() as socket:
        for query in ("{", "{nope}", "query A{__typename} query B{__typename}", "", "{a" * 3_000):
            await socket.subscribe("1", query)
            message = await socket.receive()
            assert (message["id"], message["type"]) == ("1", "error")
            assert message["payload"][0]["extensions"]["code"]
        await socket.subscribe("1", "query ($i: ID!) {node(id: $i) {id}}", i=None)
        assert (await socket.receive())["payload"][0]["extensions"] == {"code": "BAD_USER_INPUT", "variable": ["i"]}
        await socket.subscribe("1", "{__typename}")
        assert (await socket.next("1"))["data"] == {"__typename": "Query"}
        assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_queries_and_mutations(api: Caller) -> None:
    async with api.socket() as socket:
        await socket.subscribe("a", "mutation {noopEnqueue {job {state}}}")
        assert (await socket.next("a"))["data"]["noopEnqueue"]["job"]["state"] == "QUEUED"
        assert await socket.receive() == {"id": "a", "type": "complete"}


async def test_so_many_operations_may_be_open(api: Caller) -> None:
    async with api.socket() as socket:
        for number in range(OPERATIONS_MAX + 1):
            await socket.subscribe(str(number), LIVE)
        message = await socket.receive()
        assert (message["id"], message["type"]) == (str(OPERATIONS_MAX), "error")
        assert message["payload"][0]["extensions"] == {"code": "THROTTLED"}


async def test_completing_what_is_not_there_is_no_fault(api: Caller) -> None:
    async with api.socket() as socket:
        wrong: list[Any] = ["1", None, 5, []]
        for operation_id in wrong:
            await socket.send(type="complete", id=operation_id)
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
