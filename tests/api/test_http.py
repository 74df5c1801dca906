"""GraphQL over HTTP: the checks of the specification's audit suite that matter, and what it leaves out."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from api.body import BODY_MAX
from tests.api.caller import GRAPHQL, Caller

JSON = "application/json"
EVENTS = "text/event-stream"
OF_URQL = f"{GRAPHQL}, application/graphql+json, {JSON}, {EVENTS}, multipart/mixed"
QUERY = "{__typename}"
DATA = {"data": {"__typename": "Query"}}


FORMS = [
    (GRAPHQL, GRAPHQL),
    (JSON, JSON),
    ("*/*", JSON),
    ("application/*", JSON),
    (f"{JSON}, {GRAPHQL}", GRAPHQL),
    (f"{GRAPHQL};q=0.5, {JSON}", JSON),
    (f"{GRAPHQL};charset=utf-8", GRAPHQL),
    (OF_URQL, GRAPHQL),
]


async def test_the_form_that_is_asked_for(api: Caller) -> None:
    for accept, media_type in FORMS:
        answer = await api.post(QUERY, accept=accept)
        assert (answer.status, answer.media_type, answer.json) == (200, media_type, DATA), accept
        assert "charset=utf-8" in answer.headers["content-type"]


async def test_without_accept_the_form_is_json(api: Caller) -> None:
    answer = await api.request("POST", json={"query": QUERY}, skip_auto_headers=["accept"])
    assert (answer.status, answer.media_type) == (200, JSON)


async def test_other_forms_are_not_acceptable(api: Caller) -> None:
    for accept in ("text/plain", "image/png, text/css", f"{GRAPHQL};charset=utf-16"):
        answer = await api.post(QUERY, accept=accept)
        assert (answer.status, answer.media_type) == (406, "application/problem+json")


async def test_get_with_parameters(api: Caller) -> None:
    params = {"query": "query A($i: ID!) {node(id: $i) {id}} query B {__typename}", "operationName": "A"}
    answer = await api.request("GET", params={**params, "variables": json.dumps({"i": "x"})})
    assert (answer.status, answer.json) == (200, {"data": {"node": None}})


async def test_other_methods_are_not_allowed(api: Caller) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = await api.request(method)
        assert (answer.status, answer.media_type) == (405, "application/problem+json")
        assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_get_never_changes_anything(api: Caller) -> None:
    answer = await api.request("GET", params={"query": 'mutation {jobEnqueue(input: {task: "noop"}) {job {id}}}'})
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert (await api.data("{jobs {nodes {id}}}"))["jobs"]["nodes"] == []


async def test_only_json_is_read(api: Caller) -> None:
    body = json.dumps({"query": QUERY})
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        f"{JSON}; charset=latin-1",
    ):
        answer = await api.request("POST", headers={"content-type": content_type}, data=body)
        assert answer.status == 415, content_type


async def test_what_is_no_json_is_a_bad_request(api: Caller) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 200_000, b'{"query": ', b"1" * 5_000):
        answer = await api.request("POST", headers={"content-type": JSON, "accept": JSON}, data=body)
        assert (answer.status, answer.media_type) == (400, "application/problem+json"), body[:20]


NO_REQUESTS: list[Any] = [
    None,
    "{__typename}",
    [{"query": QUERY}],
    {},
    {"query": None},
    {"query": 1},
    {"query": "  "},
    {"query": QUERY, "variables": []},
    {"query": QUERY, "variables": "{}"},
    {"query": QUERY, "operationName": 1},
    {"query": QUERY, "extensions": "x"},
]


async def test_what_is_no_request_is_a_bad_request(api: Caller) -> None:
    for accept in (JSON, GRAPHQL):
        for body in NO_REQUESTS:
            answer = await api.request("POST", headers={"accept": accept, "content-type": JSON}, data=json.dumps(body))
            assert (answer.status, answer.media_type) == (400, accept), body
            assert "data" not in answer.json
            assert answer.json["errors"][0]["message"]


HALVES: list[tuple[dict[str, Any], str]] = [
    ({"query": "{__typename} # \ud800"}, "query"),
    ({"query": QUERY, "operationName": "\udc00"}, "operationName"),
    ({"query": QUERY, "variables": {"input": {"task": "\ud800"}}}, "variables.input.task"),
    ({"query": QUERY, "variables": {"where": {"owners": ["a", "\ud800x"]}}}, "variables.where.owners[1]"),
    ({"query": QUERY, "variables": {"x": {"\udfff": 1}}}, "a name in variables.x"),
    ({"query": QUERY, "variables": {"x": [float("nan"), 10**40, "\ud800"]}}, "variables.x[2]"),
]


async def test_halves_of_surrogate_pairs_are_a_bad_request(api: Caller) -> None:
    for body, place in HALVES:
        for accept in (JSON, GRAPHQL):
            answer = await api.request("POST", headers={"accept": accept, "content-type": JSON}, data=json.dumps(body))
            assert (answer.status, answer.media_type) == (400, accept), place
            (error,) = answer.json["errors"]
            assert error["message"] == f"{place} contains half of a surrogate pair, which is not valid Unicode."
    answer = await api.request("GET", params={"query": QUERY, "variables": r'{"x": "\ud800"}'})
    assert answer.status == 400
    answer = await api.request(
        "POST", headers={"accept": JSON, "content-type": JSON}, data=b'{"query": "\xed\xa0\x80"}'
    )
    assert answer.status == 400
    whole = json.dumps({"query": "query ($i: ID!) {node(id: $i) {id}}", "variables": {"i": "\U0001f600"}})
    assert (await api.request("POST", headers={"content-type": JSON}, data=whole)).status == 200


async def test_a_half_in_a_literal_is_a_bad_request(api: Caller) -> None:
    for task in (r"\ud800", r"\udc00", r"\u{d800}"):
        answer = await api.post(f'mutation {{jobEnqueue(input: {{task: "{task}"}}) {{job {{id}}}}}}')
        assert (answer.status, answer.json["errors"][0]["extensions"]) == (400, {"code": "GRAPHQL_PARSE_FAILED"})


NOT_RUNNABLE = [
    ("{", "GRAPHQL_PARSE_FAILED"),
    ("{nope}", "GRAPHQL_VALIDATION_FAILED"),
    ("query A{__typename} query B{__typename}", "GRAPHQL_VALIDATION_FAILED"),
    ("fragment F on Job {id}", "GRAPHQL_VALIDATION_FAILED"),
    ("query($i: ID!) {node(id: $i) {id}}", "BAD_USER_INPUT"),
    ("{a" * 3_000, "GRAPHQL_PARSE_FAILED"),
]


async def test_a_document_that_cannot_run(api: Caller) -> None:
    for query, code in NOT_RUNNABLE:
        answer = await api.post(query)
        assert (answer.status, answer.media_type) == (400, GRAPHQL)
        assert "data" not in answer.json
        assert answer.json["errors"][0]["extensions"]["code"] == code
        for_old_clients = await api.post(query, accept=JSON)
        assert (for_old_clients.status, for_old_clients.json) == (200, answer.json)


async def test_an_unknown_operation_name(api: Caller) -> None:
    answer = await api.request(
        "POST", headers={"accept": GRAPHQL}, json={"query": "query A{__typename}", "operationName": "B"}
    )
    assert answer.status == 400


async def test_an_error_of_a_field_leaves_the_rest(api: Caller) -> None:
    answer = await api.post('{jobs(after: "nope") {nodes {id}} viewer {name}}')
    assert answer.status == 200
    assert answer.json["data"] == {"jobs": None, "viewer": {"name": "test ADMIN"}}
    (error,) = answer.json["errors"]
    assert (error["path"], error["extensions"]) == (["jobs"], {"code": "INVALID_CURSOR", "argument": ["after"]})


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_have_a_limit(api: Caller, chunked: bool) -> None:
    body = json.dumps({"query": QUERY, "variables": {"x": "a" * BODY_MAX}}).encode()

    async def chunks() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    answer = await api.request("POST", headers={"content-type": JSON}, data=chunks() if chunked else io.BytesIO(body))
    assert answer.status == 413


async def test_a_subscription_needs_a_stream(api: Caller) -> None:
    answer = await api.post("subscription {jobEvents {endCursor}}")
    assert answer.status == 406
    assert EVENTS in answer.json["detail"]


async def test_a_query_is_answered_as_events_where_nothing_else_is_accepted(api: Caller) -> None:
    answer = await api.post(QUERY, accept=EVENTS)
    assert (answer.status, answer.media_type) == (200, EVENTS)
    assert answer.body == b'event: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata:\n\n'
    refused = await api.post("{nope}", accept=EVENTS)
    assert refused.body.startswith(b'event: next\ndata: {"errors":[')


async def test_incremental_delivery_is_off(api: Caller) -> None:
    (error,) = await api.errors("{... @defer {viewer {id}}}")
    assert error["message"] == "Unknown directive '@defer'."


async def test_what_is_not_there(api: Caller) -> None:
    for path in ("/nope", "/dashboard/nope.js", "/dashboard/%2e%2e/app.py", "/dashboard/..%2f..%2fapp.py"):
        answer = await api.request("GET", path)
        assert (answer.status, answer.media_type) == (404, "application/problem+json")
        assert answer.json["code"] == "NOT_FOUND"


async def test_every_answer_is_protected(anonymous: Caller) -> None:
    for path in ("/livez", "/graphql", "/nope", "/"):
        answer = await anonymous.request("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
