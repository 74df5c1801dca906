"""What enqueue refuses, and the path it names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from jobs.client import Client
from jobs.clock import now_ms
from jobs.errors import InvalidArguments, InvalidOption, PayloadTooLarge, UnknownTask
from jobs.job import Backoff
from tests.jobs.commands.requests import HOUR_MS, all_jobs, enqueue

BAD_ARGS: list[tuple[Any, tuple[str | int, ...], str]] = [
    ({}, ("args", "to"), "args.to is missing; it must be a string."),
    ({"to": 1}, ("args", "to"), "args.to must be a string."),
    ({"to": None}, ("args", "to"), "args.to must be a string."),
    ({"to": "a", "ot": 1}, ("args", "ot"), "args.ot does not exist; args may have: to, copies, colour"),
    ({"to": "a", "copies": "1"}, ("args", "copies"), "args.copies must be an integer."),
    ({"to": "a", "copies": True}, ("args", "copies"), "args.copies must be an integer."),
    ({"to": "a", "copies": 1.0}, ("args", "copies"), "args.copies must be an integer."),
    ({"to": "a", "colour": "green"}, ("args", "colour"), 'args.colour must be one of "red", "blue".'),
    ({"to": "a", "cc": ["b", 3]}, ("args", "cc", 1), "args.cc[1] must be a string."),
    ({"to": "a", "cc": "b"}, ("args", "cc"), "args.cc must be a list or null."),
    ({"to": "a", "address": {}}, ("args", "address", "street"), "is missing; it must be a string."),
    ({"to": "a", "address": {"street": "s", "number": 2.0}}, ("args", "address", "number"), "must be an integer."),
    ({"to": "a", "address": {"street": "s", "no": 1}}, ("args", "address", "no"), "may have: street, number."),
    ({"to": "a", "at": "tomorrow"}, ("args", "at"), "as in 2026-01-31T12:00:00Z or null."),
    ({"to": "a", "factor": math.nan}, ("args", "factor"), "not a finite number"),
    ({"to": "a", "factor": -math.inf}, ("args", "factor"), "not a finite number"),
    ({"to": "a\x00"}, ("args", "to"), "NUL"),
    ({"to": "\ud800"}, ("args", "to"), "surrogate"),
    ({"to": "a", "\udfff": 1}, ("args",), "surrogate"),
    ({"to": "a", "copies": 2**64}, ("args", "copies"), "64 bits"),
    ({"to": {1, 2}}, ("args", "to"), "not a JSON value"),
    ({1: 2}, ("args",), "names in a JSON object are strings"),
    (["a"], ("args",), "must be an object"),
    (None, ("args",), "must be an object"),
]


@pytest.mark.parametrize(("args", "path", "sentence"), BAD_ARGS)
async def test_bad_arguments_are_refused_with_their_path(
    client: Client, args: Any, path: tuple[str | int, ...], sentence: str
) -> None:
    with pytest.raises(InvalidArguments) as fault:
        await enqueue(client, "send_mail", args=args)
    assert fault.value.path == path
    assert sentence in str(fault.value)
    assert await all_jobs(client) == []


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def test_very_deep_arguments_are_refused(client: Client) -> None:
    with pytest.raises(InvalidArguments, match="nested deeper"):
        await enqueue(client, "send_mail", args={"to": nested(100_000)})


async def test_an_unknown_task_is_refused_with_what_may_have_been_meant(client: Client) -> None:
    with pytest.raises(UnknownTask, match="Did you mean send_mail") as fault:
        await enqueue(client, "sendmail")
    assert fault.value.path == ("task",)
    assert await all_jobs(client) == []


async def test_arguments_beyond_the_limit_are_refused(open_client: Callable[..., Any]) -> None:
    small = await open_client(payload_max_bytes=1_024)
    whole = {"to": "", "copies": 1, "colour": "red", "factor": 1.0}  # with the defaults, as it is stored
    room = 1_024 - len(orjson.dumps(whole))
    assert (await enqueue(small, "send_mail", args={"to": "x" * room})).job.args
    with pytest.raises(PayloadTooLarge, match="1,025 bytes"):
        await enqueue(small, "send_mail", args={"to": "x" * (room + 1)})


BAD_OPTIONS: list[tuple[dict[str, Any], tuple[str | int, ...]]] = [
    ({"queue": ""}, ("queue",)),
    ({"queue": "a:b"}, ("queue",)),
    ({"queue": "é"}, ("queue",)),
    ({"queue": "a\n"}, ("queue",)),
    ({"queue": "q" * 129}, ("queue",)),
    ({"tags": ("ok", "no no")}, ("tags", 1)),
    ({"tags": tuple(f"t{n}" for n in range(33))}, ("tags",)),
    ({"key": ""}, ("key",)),
    ({"key": "k" * 513}, ("key",)),
    ({"key": "a\x00"}, ("key",)),
    ({"idempotency_key": "k" * 513}, ("idempotencyKey",)),
    ({"owner": "\ud800"}, ("owner",)),
    ({"metadata": [1]}, ("metadata",)),
    ({"metadata": {"a": "x" * 16_384}}, ("metadata",)),
    ({"metadata": {"a": [math.nan]}}, ("metadata", "a", 0)),
    ({"scheduled_ms": 0}, ("scheduledAt",)),
    ({"scheduled_ms": now_ms() - HOUR_MS}, ("scheduledAt",)),
    ({"scheduled_ms": now_ms() + 11 * 365 * 24 * HOUR_MS}, ("scheduledAt",)),
    ({"delay_s": -1.0}, ("delay",)),
    ({"delay_s": math.nan}, ("delay",)),
    ({"delay_s": 11 * 365 * 86_400}, ("delay",)),
    ({"delay_s": 1, "scheduled_ms": now_ms() + HOUR_MS}, ("delay",)),
    ({"max_attempts": 0}, ("maxAttempts",)),
    ({"max_attempts": 101}, ("maxAttempts",)),
    ({"timeout_s": -1}, ("timeout",)),
    ({"timeout_s": math.nan}, ("timeout",)),
    ({"timeout_s": 8 * 86_400}, ("timeout",)),
    ({"backoff": Backoff(factor=math.inf)}, ("backoff", "factor")),
    ({"backoff": Backoff(base_s=-1)}, ("backoff", "base")),
    ({"backoff": Backoff(jitter=1.5)}, ("backoff", "jitter")),
]


@pytest.mark.parametrize(("options", "path"), BAD_OPTIONS)
async def test_bad_options_are_refused_with_their_path(
    client: Client, options: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(InvalidOption) as fault:
        await enqueue(client, **options)
    assert fault.value.path == path
    assert await all_jobs(client) == []
