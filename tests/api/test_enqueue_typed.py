"""Enqueueing by the mutations of tasks, on both databases: arguments by their types, and what does not fit them."""

from __future__ import annotations

from typing import Any

from tests.api.caller import Caller
from tests.databases import dialect  # noqa: F401  # the fixture: both databases

SEND_MAIL = """
mutation ($input: SendMailEnqueueInput!) {
  sendMailEnqueue(input: $input) {
    job { id args queue priority maxAttempts tags }
    userErrors { __typename field code ... on ValidationError { path } }
  }
}
"""


async def test_a_typed_mutation(api: Caller) -> None:
    args = {
        "to": "x",
        "copies": str(2**62),
        "colour": "RED",
        "cc": ["a"],
        "address": {"street": "s", "houseNumber": 4, "neighbours": [{"street": "t"}]},
        "notBefore": "2030-01-01T02:00:00+02:00",
        "patience": "PT90S",
        "campaign": "0197c0de-0000-7000-8000-000000000000",
        "speed": "VERY_FAST",
        "extra": {"some_key": 1},
        "either": "text",
    }
    options = {"queue": "other", "priority": "LOW", "maxAttempts": 2, "tags": ["t"], "backoff": {"base": "PT1S"}}
    payload = (await api.data(SEND_MAIL, input={"args": args, "options": options}))["sendMailEnqueue"]
    assert payload["userErrors"] == []
    job = payload["job"]
    assert (job["queue"], job["priority"], job["maxAttempts"], job["tags"]) == ("other", "LOW", 2, ["t"])
    assert job["args"] == {
        "to": "x",
        "copies": 2**62,
        "colour": "dark red",
        "cc": ["a"],
        "address": {
            "street": "s",
            "house_number": 4,
            "neighbours": [{"street": "t", "house_number": 1}],
        },
        "not_before": "2030-01-01T00:00:00.000Z",
        "patience": "PT1M30S",
        "campaign": "0197c0de-0000-7000-8000-000000000000",
        "speed": "very fast",
        "extra": {"some_key": 1},
        "either": "text",
        "factor": 1.0,
    }


async def test_both_ways_store_the_same_arguments(api: Caller) -> None:
    document = 'mutation ($args: JSON) {jobEnqueue(input: {task: "send_mail", args: $args}) {job {args}}}'
    for args, typed in (
        ({"to": "x"}, {"to": "x"}),
        ({"to": "x", "cc": None, "not_before": None}, {"to": "x", "cc": None, "notBefore": None}),
        (
            {"to": "x", "address": {"street": "s", "neighbours": [{"street": "t"}]}},
            {"to": "x", "address": {"street": "s", "neighbours": [{"street": "t"}]}},
        ),
    ):
        stored = (await api.data(document, args=args))["jobEnqueue"]["job"]["args"]
        assert stored == (await api.data(SEND_MAIL, input={"args": typed}))["sendMailEnqueue"]["job"]["args"]
        assert stored == {
            "copies": 1, "colour": "dark red", "patience": "PT5M", "speed": "slow", "either": 0, "factor": 1.0,
        } | args | ({"address": {"street": "s", "house_number": 1, "neighbours": [{"street": "t", "house_number": 1}]}}
            if "address" in args else {}
        )  # fmt: skip


async def test_a_refusal_has_the_names_that_the_client_wrote(api: Caller) -> None:
    document = "mutation ($input: SendMailEnqueueInput!) {sendMailEnqueue(input: $input) {userErrors {message field}}}"

    async def told(**given: Any) -> str:
        (error,) = (await api.data(document, input=given))["sendMailEnqueue"]["userErrors"]
        message: str = error["message"]
        return message

    far = {"street": "s", "houseNumber": str(2**200)}
    assert await told(args={"to": "x", "address": far}) == (
        "args.address.houseNumber is outside of 64 bits; send such a number as a string."
    )
    assert await told(args={"to": "x"}, options={"maxAttempts": 0}) == "maxAttempts must be from 1 to 100."
    key = await told(args={"to": "x"}, options={"idempotencyKey": ""})
    assert key == "idempotencyKey must have 1 to 512 characters; it has 0."


async def test_a_typed_mutation_refuses_what_does_not_fit(api: Caller) -> None:
    for args, part in (
        ({}, '"to"'),
        ({"to": 1}, "String"),
        ({"to": "x", "colour": "GREEN"}, "SendMailColour"),
        ({"to": "x", "nope": 1}, '"nope"'),
        ({"to": "x", "notBefore": "tomorrow"}, "DateTime"),
        ({"to": "x", "copies": 1.5}, "BigInt"),
        ({"to": "x", "campaign": "x"}, "UUID"),
    ):
        answer = await api.post(SEND_MAIL, {"input": {"args": args}})
        assert answer.status == 400
        (error,) = answer.json["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert part in error["message"].replace("'", '"')
    for given, code, path in (
        ({"args": {"to": "x", "extra": {"a": "b"}}}, "INVALID_ARGUMENTS", ["args", "extra", "a"]),
        ({"args": {"to": "x"}, "options": {"maxAttempts": 0}}, "INVALID_OPTION", ["options", "maxAttempts"]),
    ):
        (error,) = (await api.data(SEND_MAIL, input=given))["sendMailEnqueue"]["userErrors"]
        assert (error["code"], error["path"], error["field"]) == (code, path, path[0])
    assert (await api.data("{jobs {nodes {id}}}"))["jobs"]["nodes"] == []


async def test_typed_mutations_need_no_more_than_the_task(api: Caller) -> None:
    data = await api.data("mutation {noopEnqueue {job {task}} anythingEnqueue(input: {args: {a: [1]}}) {job {args}}}")
    assert data == {"noopEnqueue": {"job": {"task": "noop"}}, "anythingEnqueue": {"job": {"args": {"a": [1]}}}}
