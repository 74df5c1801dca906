"""What HTTP adds to an operation: compression, an id, a deadline, and an end in order."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import aiohttp
import pytest
import structlog

from api.server import address_of, listen, running
from jobs.client import Client
from tests.api.caller import GRAPHQL, Answer, Caller
from tests.api.conftest import Serve
from tests.factories import make_settings
from tests.wait import eventually, until

LONG = "{__schema {types {name description}}}"
LIVE = "subscription {jobEvents {endCursor}}"
HEADERS = {"accept": GRAPHQL, "content-type": "application/json"}


async def raw(api: Caller, query: str, accept_encoding: str) -> tuple[dict[str, str], bytes]:
    """Ask without unpacking the answer."""
    headers = {**HEADERS, "authorization": f"Bearer {api.token}", "accept-encoding": accept_encoding}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(f"http://{api.address}/graphql", headers=headers, data=json.dumps({"query": query})) as answer,
    ):
        return {name.lower(): value for name, value in answer.headers.items()}, await answer.read()


async def test_long_answers_are_compressed_for_those_who_ask(api: Caller) -> None:
    headers, packed = await raw(api, LONG, "br, gzip")
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(packed)
    _, plain = await raw(api, LONG, "identity")
    assert gzip.decompress(packed) == plain
    assert len(packed) * 2 < len(plain)
    for query, accepted in ((LONG, "br"), (LONG, ""), (LONG, "br, gzip;q=0"), ("{__typename}", "gzip")):
        headers, body = await raw(api, query, accepted)
        assert "content-encoding" not in headers
        assert json.loads(body)["data"]


async def test_events_are_never_compressed_and_never_held_back(api: Caller) -> None:
    headers = {**HEADERS, "authorization": f"Bearer {api.token}", "accept": "text/event-stream"}
    headers["accept-encoding"] = "gzip"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(f"http://{api.address}/graphql", headers=headers, data=json.dumps({"query": LIVE})) as answer,
    ):
        assert "content-encoding" not in answer.headers
        assert await asyncio.wait_for(answer.content.readline(), 5) == b":\n"
        await api.data("mutation {noopEnqueue {job {id}}}")
        lines = [await asyncio.wait_for(answer.content.readline(), 5) for _ in range(3)]
        assert b"event: next\n" in lines


async def test_every_answer_has_an_id(anonymous: Caller, api: Caller) -> None:
    for path in ("/livez", "/graphql", "/nope", "/dashboard/nope"):
        made = (await anonymous.request("GET", path)).headers["x-request-id"]
        assert made != (await anonymous.request("GET", path)).headers["x-request-id"]
        given = await anonymous.request("GET", path, headers={"x-request-id": "a/b+c=.:_~@-1"})
        assert given.headers["x-request-id"] == "a/b+c=.:_~@-1"
    for insane in ("a b", "<script>", "a" * 129, "ü", '"'):
        answer = await anonymous.request("GET", "/livez", headers={"x-request-id": insane})
        assert len(answer.headers["x-request-id"]) == 36
    wrong_host = await anonymous.request("GET", "/livez", headers={"host": "nope.example", "x-request-id": "1"})
    assert (wrong_host.status, wrong_host.headers["x-request-id"]) == (421, "1")
    async with api.raw_socket(additional_headers={"x-request-id": "socket-1"}) as socket:
        assert socket.response
        assert socket.response.headers["x-request-id"] == "socket-1"


async def test_the_id_is_in_the_log_and_in_what_is_shown_of_a_fault(
    api: Caller, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(client.queries.worker, "page", broken)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        answer = await api.post("{workers {nodes {id}}}", x_request_id="mine-1")
        async with api.socket() as socket:
            await socket.subscribe("1", "{workers {nodes {id}}}")
            of_socket = (await socket.receive())["payload"]
    assert answer.json["errors"][0]["extensions"]["requestId"] == "mine-1"
    faults = [entry for entry in logged if entry["event"] == "api.fault"]
    assert faults[0]["request_id"] == "mine-1"
    assert faults[1]["request_id"] == of_socket["errors"][0]["extensions"]["requestId"] != "mine-1"


async def test_a_fault_outside_of_graphql_has_the_id_and_the_headers(
    api: Caller, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(client.queries.token, "authenticate", broken)
    answer = await api.post("{__typename}", x_request_id="mine-2")
    assert (answer.status, answer.media_type) == (500, "application/problem+json")
    assert answer.headers["x-request-id"] == answer.json["requestId"] == "mine-2"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"secret" not in answer.body


TOO_SHORT = "0.000001"


async def test_a_query_that_takes_too_long(api: Caller, serve: Serve) -> None:
    impatient = await serve(operation_timeout_s=float(TOO_SHORT))
    for answer in (
        await api.post("{jobs {nodes {id}}}", x_request_timeout=TOO_SHORT),
        await impatient.post("{jobs {nodes {id}}}"),
        await impatient.post("{jobs {nodes {id}}}", x_request_timeout="60"),
    ):
        assert (answer.status, answer.media_type, list(answer.json)) == (504, GRAPHQL, ["errors"])
        (error,) = answer.json["errors"]
        assert error == {"message": "This took longer than 1e-06 s.", "extensions": {"code": "DEADLINE_EXCEEDED"}}
    for_old_clients = await impatient.post("{jobs {nodes {id}}}", accept="application/json")
    assert (for_old_clients.status, for_old_clients.json) == (200, answer.json)
    async with impatient.socket() as socket:
        await socket.subscribe("1", "{jobs {nodes {id}}}")
        message = await socket.receive()
        assert (message["type"], message["payload"][0]["extensions"]) == ("error", {"code": "DEADLINE_EXCEEDED"})
    assert (await api.post("{jobs {nodes {id}}}", x_request_timeout="60")).status == 200


async def test_a_deadline_that_is_none(api: Caller) -> None:
    for given in ("0", "-1", "nan", "inf", "1e3", "soon", "1 s", "\u0661"):
        answer = await api.post("{__typename}", x_request_timeout=given)
        assert (answer.status, answer.media_type) == (400, "application/problem+json"), given
        assert "X-Request-Timeout" in answer.json["detail"]


async def test_a_mutation_goes_on_without_its_caller(api: Caller) -> None:
    answer = await api.post("mutation {noopEnqueue {job {id}}}", x_request_timeout=TOO_SHORT)
    assert (answer.status, answer.json["errors"][0]["extensions"]) == (504, {"code": "DEADLINE_EXCEEDED"})
    assert "idempotencyKey" in answer.json["errors"][0]["message"]
    await until_jobs(api, 1)


async def test_a_mutation_goes_on_although_its_socket_is_closed(published: Client, api: Caller) -> None:
    with locked(published) as unlock:
        async with api.socket() as socket:
            await socket.subscribe("1", "mutation {noopEnqueue {job {id}}}")
            await until(lambda: "job.enqueue" in published.commands.job.gate.figures)
            await socket.send(id="1", type="complete")
            await socket.send(type="ping")
            assert await socket.receive() == {"type": "pong"}
        unlock()
        await until_jobs(api, 1)


@contextmanager
def locked(client: Client) -> Iterator[Callable[[], object]]:
    """Let nobody write to the database."""
    path = client.settings.database_url.removeprefix("sqlite://")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield lambda: database.execute("COMMIT")


async def until_jobs(api: Caller, count: int) -> None:
    async def so_many() -> bool:
        return len((await api.data("{jobs {nodes {id}}}"))["jobs"]["nodes"]) >= count

    await eventually(so_many)


async def test_a_server_that_stops_waits_for_late_mutations(published: Client, serve: Serve) -> None:
    api = await serve()
    with listen("127.0.0.1", 0) as listener:
        async with Caller(address_of(listener), api.token) as caller:
            server = running(published, make_settings(), listener)
            await server.__aenter__()
            with locked(published) as unlock:
                answer = await caller.post("mutation {noopEnqueue {job {id}}}", x_request_timeout="0.05")
                assert answer.status == 504
                stopping = asyncio.create_task(server.__aexit__(None, None, None))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(stopping), 0.5)
                unlock()
                await stopping
    assert len((await api.data("{jobs {nodes {id}}}"))["jobs"]["nodes"]) == 1


async def test_a_server_that_drains_sends_clients_elsewhere(published: Client, serve: Serve) -> None:
    """It is not ready, and closes connections; streams go on until it stops."""
    token = (await serve()).token
    with listen("127.0.0.1", 0) as listener:
        async with Caller(address_of(listener), token) as caller:
            server = running(published, make_settings(drain_s=1.0), listener)
            await server.__aenter__()
            before = await caller.request("GET", "/readyz")
            assert (before.status, before.headers.get("connection")) == (200, None)
            async with caller.socket() as live, caller.events(LIVE) as events:
                await live.subscribe("1", LIVE)
                began = time.monotonic()
                stopping = asyncio.create_task(server.__aexit__(None, None, None))
                ready = await until_status(caller, 503)
                assert ready == "close"
                answer = await caller.post("mutation {noopEnqueue {job {id}}}")
                assert (answer.status, answer.headers["connection"]) == (200, "close")
                assert (await live.next("1"))["data"]["jobEvents"]["endCursor"]
                assert (await events.next())[0] == "next"
                await live.raw.wait_closed()
                assert (live.raw.close_code, live.raw.close_reason) == (1001, "The server stops; connect again")
                assert time.monotonic() - began >= 1.0
                while (await events.next())[0]:
                    pass
            await stopping
    await until(stopping.done)


async def until_status(caller: Caller, status: int) -> str | None:
    """Ask for readiness until it is like this; return the `connection` header of that answer."""

    async def like_this() -> Answer | None:
        answer = await caller.request("GET", "/readyz")
        return answer if answer.status == status else None

    connection: str | None = (await eventually(like_this)).headers.get("connection")
    return connection
