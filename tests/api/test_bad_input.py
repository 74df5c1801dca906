"""Bad input, at every place of the schema: a clear error with a code and a place, at once, and no fault of ours."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from api.body import decode, encode
from api.execution.operation import Operation, Rejected, Request
from api.schema.live import Runnable, build
from api.schema.node import node_id
from jobs.client import Client
from jobs.commands import TokenKind
from jobs.viewer import SYSTEM, Role, Viewer
from tests.api.bad_input import BAD, Spot, nested, spots
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue
from tests.api.tasks import registry

AT_ONCE_S = 0.1
SAMPLE = 12
"""So many values for each place; all of them with --long."""
SILENT_S = 0.005
"""A subscription that says nothing for so long has accepted its arguments."""


async def outcome(client: Client, viewer: Viewer, runnable: Runnable, spot: Spot, value: Any) -> dict[str, Any]:
    """Run the operation as both transports do, from JSON to JSON."""
    try:
        operation = Operation.prepare(
            runnable, Request.read({"query": spot.document, "variables": spot.variables(value)})
        )
        if not operation.is_subscription:
            return dict(decode(encode(await operation.run(client, viewer))))
        stream = operation.stream(client, viewer)
        try:
            return dict(decode(await asyncio.wait_for(anext(stream, b"{}"), SILENT_S)))
        except TimeoutError:
            return {}
        finally:
            await stream.aclose()
    except Rejected as rejected:
        return dict(decode(encode({"errors": rejected.errors})))


def faults_of(result: dict[str, Any]) -> list[str]:
    """Say what is wrong with how a value was answered."""
    faults = []
    for error in result.get("errors", ())[:1]:  # the last of very many only says that they are
        extensions = error["extensions"]
        if extensions["code"] in {"INTERNAL", "STORE_UNAVAILABLE", "BROKER_UNAVAILABLE"}:
            faults.append(f"a fault: {error}")
        if not (extensions.get("argument") or extensions.get("variable")):
            faults.append(f"no place: {error}")
    for payload in (result.get("data") or {}).values():
        refused = (payload.get("userErrors") or ()) if isinstance(payload, dict) else ()
        faults += [f"no place: {error}" for error in refused if not error["field"] and NOTHING not in error["message"]]
    return faults


NOTHING = "Say what to change"
"""What is not there has no place."""


@pytest.fixture
async def viewer(published: Client) -> Viewer:
    secret = await published.commands.token.issue(SYSTEM, TokenKind.API, name="bad input", role=Role.ADMIN)
    found = await published.queries.token.authenticate(secret)
    assert found
    return found


@pytest.mark.parametrize("share", [SAMPLE, pytest.param(len(BAD), marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_bad_values_at_every_place(published: Client, viewer: Viewer, share: int) -> None:
    runnable = build(registry.definitions())
    wrong: list[str] = []
    for number, spot in enumerate(spots(runnable.schema)):
        for value in (BAD[(number * share + at) % len(BAD)] for at in range(share)):
            took_s = []
            while not took_s or (min(took_s) > AT_ONCE_S and len(took_s) < 4):  # the machine may be busy
                began = time.perf_counter()
                result = await outcome(published, viewer, runnable, spot, value)
                took_s.append(time.perf_counter() - began)
            wrong += [f"{spot} {repr(value)[:60]}: {fault}" for fault in faults_of(result)]
            if min(took_s) > AT_ONCE_S:
                wrong.append(f"{spot} {repr(value)[:60]} took {min(took_s):.3f} s")
    assert wrong == []


@pytest.mark.parametrize("dialect", ["postgres"])
async def test_a_nul_character_is_no_fault_at_any_place(published: Client, viewer: Viewer) -> None:
    runnable = build(registry.definitions())
    texts = ["a\0b", *(node_id(kind, "a:\0b") for kind in ("Job", "Task", "Worker", "Attempt", "QuarantineRecord"))]
    wrong = []
    for spot in spots(runnable.schema):
        for value in texts if spot.kind in ("String", "ID", "Cursor", "JSON") else ():
            result = await outcome(published, viewer, runnable, spot, value)
            wrong += [f"{spot} {value!r}: {fault}" for fault in faults_of(result)]
    assert wrong == []


JOBS = """
query ($where: JobWhere, $first: Int, $after: Cursor) {
  jobs(where: $where, first: $first, after: $after) {nodes {id}}
}
"""
EVENTS = "subscription ($where: JobWhere, $after: Cursor) {jobEvents(where: $where, after: $after) {endCursor}}"
REFUSED: list[tuple[str, dict[str, Any], str, list[str | int]]] = [
    (JOBS, {"after": "nope"}, "INVALID_CURSOR", ["after"]),
    (JOBS, {"after": "MS5ub3BlLkFTQy54"}, "INVALID_CURSOR", ["after"]),
    (EVENTS, {"after": "nope"}, "INVALID_CURSOR", ["after"]),
    (JOBS, {"first": -1}, "INVALID_OPTION", ["first"]),
    (JOBS, {"first": 1_000_000}, "INVALID_OPTION", ["first"]),
    (JOBS, {"first": 2**31}, "BAD_USER_INPUT", ["first"]),
    (JOBS, {"first": "1"}, "BAD_USER_INPUT", ["first"]),
    (JOBS, {"where": nested(11)}, "INVALID_OPTION", ["where", *["and", 0] * 11]),
    (JOBS, {"where": nested(100)}, "BAD_USER_INPUT", ["where"]),
    (JOBS, {"where": {"tasks": ["a\0"]}}, "INVALID_OPTION", ["where", "tasks"]),
    (JOBS, {"where": {"states": ["NOPE"]}}, "BAD_USER_INPUT", ["where", "states", 0]),
    (JOBS, {"where": {"args": [{"path": "a", "equals": 10**400}]}}, "INVALID_OPTION", ["where", "args", 0]),
    (JOBS, {"where": {"args": [{"path": "a", "equals": float("nan")}]}}, "INVALID_OPTION", ["where", "args", 0]),
    (
        JOBS,
        {"where": {"createdAt": {"from": "0001-01-01T00:00:00+14:00"}}},
        "BAD_USER_INPUT",
        ["where", "createdAt", "from"],
    ),
    (JOBS, {"where": {"not": [{"createdAt": {}}]}}, "INVALID_OPTION", ["where", "not", 0, "createdAt"]),
    (JOBS, {"where": {"and": []}}, "INVALID_OPTION", ["where", "and"]),
    (JOBS, {"where": {"or": [{"states": []}]}}, "INVALID_OPTION", ["where", "or", 0, "states"]),
    (JOBS, {"where": {"text": "args.a..b:1"}}, "INVALID_OPTION", ["where", "text"]),
    (JOBS, {"where": {"or": [{"text": "state:nope"}]}}, "INVALID_OPTION", ["where", "or", 0, "text"]),
    (EVENTS, {"where": {"text": "state:nope"}}, "INVALID_OPTION", ["where", "text"]),
    (EVENTS, {"where": {"not": [{"error": "a" * 5_000}]}}, "INVALID_OPTION", ["where", "not", 0, "error"]),
]


async def test_what_is_refused_and_where(api: Caller) -> None:
    for query, variables, code, place in REFUSED:
        if query == EVENTS:
            async with api.socket() as socket:
                await socket.subscribe("1", query, **variables)
                (error,) = (await socket.receive())["payload"]
        else:
            (error,) = await api.errors(query, **variables)
        extensions = error["extensions"]
        found = extensions.get("argument") or extensions.get("variable")
        assert (extensions["code"], found) == (code, place), variables
        assert "`created`" not in error["message"]


@pytest.mark.parametrize("pattern", ["%", "_", "%a%", "[a-z]", ".*", "a|b", "(", "\\", "*", "?", "' OR 1=1 --", "A%"])
async def test_what_means_something_to_databases_is_text(api: Caller, pattern: str) -> None:
    await enqueue(api, owner="abc", tags=["a"], metadata={"k": "abc"})
    for where in (
        {"owners": [pattern]},
        {"metadata": [{"path": "k", "contains": pattern}]},
        {"metadata": [{"path": pattern if pattern.isalpha() else "x", "equals": pattern}]},
    ):
        assert (await api.data(JOBS, where=where))["jobs"]["nodes"] == []


async def test_ids_of_other_types_find_nothing(api: Caller) -> None:
    job = (await enqueue(api))["job"]["id"]
    ids = [
        node_id("Queue", "default"),
        node_id("Task", "noop"),
        node_id("Nope", "1"),
        node_id("Worker", job),
        "nope",
        "",
    ]
    for one in ids:
        assert (await api.data("query ($id: ID!) {job(id: $id) {id}}", id=one))["job"] is None
        payload = (await api.data(CANCEL, input={"id": one}))["jobCancel"]
        assert payload == {"job": None, "userErrors": [{"code": "NOT_FOUND", "field": "id"}]}


CANCEL = "mutation ($input: JobCancelInput!) {jobCancel(input: $input) {job {id} userErrors {code field}}}"
