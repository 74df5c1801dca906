"""Commands, through the client, on real servers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jobs.broker import Push
from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import Enqueued, EnqueueRequest
from jobs.commands.pusher import WAITING_MAX, Pusher
from jobs.errors import (
    BrokerUnavailable,
    Forbidden,
    IdempotencyMismatch,
    InvalidArguments,
    InvalidOption,
    InvalidState,
    NotFound,
    PayloadTooLarge,
    RequestError,
    UnknownTask,
)
from jobs.job import Backoff, Durability, Job, Priority, State
from jobs.page import JobWhere, PageRequest
from jobs.store import TokenKind
from jobs.viewer import Role, Viewer
from tests.factories import make_spec
from tests.jobs.hand import Hand
from tests.jobs.tasks import registry
from tests.redis_server import RedisServer
from tests.wait import until

ADMIN = Viewer(id="a", name="admin", role=Role.ADMIN)
OPERATOR = Viewer(id="o", name="operator", role=Role.OPERATOR)
READER = Viewer(id="r", name="reader", role=Role.VIEWER)

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())


async def enqueue(client: Client, task: str = "noop", **fields: Any) -> Enqueued:
    return await client.commands.job.enqueue(OPERATOR, EnqueueRequest(task=task, **fields))


async def all_jobs(client: Client) -> list[Job]:
    await until(lambda: not client.pusher.waiting)
    return (await client.queries.job.page(ADMIN, JobWhere(), PageRequest(limit=100))).items


def lasting(job: Job) -> Job:
    """The job without what its way through the broker changes."""
    return msgspec.structs.replace(job, version=0, updated_ms=0)


# Enqueue


async def test_an_accepted_job_is_complete_without_another_read(client: Client, hand: Hand) -> None:
    answer = await enqueue(
        client,
        "send_mail",
        args={"to": "a@b.c", "colour": "blue"},
        priority=Priority.HIGH,
        owner="u17",
        tags=("tenant=42", "x", "x"),
        metadata={"trace": 1},
        key="once",
        backoff=Backoff(base_s=2, jitter=0),
    )
    assert not answer.duplicate
    assert answer.job.state is State.QUEUED
    assert answer.job.queue == "email"
    assert answer.job.max_attempts == 5
    assert answer.job.timeout_s == 30
    assert answer.job.tags == ("tenant=42", "x")
    await until(lambda: not client.pusher.waiting)
    found = await client.queries.job.get(READER, answer.job.id)
    assert found is not None
    assert lasting(found) == lasting(answer.job)
    await hand.record()
    stored = await client.store.search.job(answer.job.id)
    assert stored is not None
    assert lasting(stored) == lasting(answer.job)


async def test_a_job_of_later_is_scheduled(client: Client) -> None:
    later = now_ms() + HOUR_MS
    job = (await enqueue(client, scheduled_ms=later)).job
    assert (job.state, job.scheduled_ms) == (State.SCHEDULED, later)
    await until(lambda: client.pusher.pushed)
    found = await client.queries.job.get(READER, job.id)
    assert found is not None
    assert lasting(found) == lasting(job)


async def test_a_time_that_has_just_passed_means_at_once(client: Client) -> None:
    assert (await enqueue(client, scheduled_ms=now_ms() - 30_000)).job.state is State.QUEUED


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


async def test_good_arguments_are_taken_as_they_are(client: Client) -> None:
    args = {
        "to": "\U0001f600 null \\u0000",
        "factor": 1,
        "cc": None,
        "copies": 2**53,
        "at": "2026-01-31T12:00:00+01:00",
    }
    job = (await enqueue(client, "send_mail", args=args)).job
    stored = await client.store.search.job(job.id)
    assert stored is not None
    assert stored.args == args


async def test_an_unknown_task_is_refused_with_what_may_have_been_meant(client: Client) -> None:
    with pytest.raises(UnknownTask, match="Did you mean send_mail") as fault:
        await enqueue(client, "sendmail")
    assert fault.value.path == ("task",)
    assert await all_jobs(client) == []


async def test_arguments_beyond_the_limit_are_refused(open_client: Callable[..., Any]) -> None:
    small = await open_client(payload_max_bytes=1_024)
    assert (await enqueue(small, "send_mail", args={"to": "x" * 1_015})).job.args
    with pytest.raises(PayloadTooLarge, match="1,025 bytes"):
        await enqueue(small, "send_mail", args={"to": "x" * 1_016})


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
    ({"idempotency_key": "k" * 513}, ("idempotency_key",)),
    ({"owner": "\ud800"}, ("owner",)),
    ({"metadata": [1]}, ("metadata",)),
    ({"metadata": {"a": "x" * 16_384}}, ("metadata",)),
    ({"metadata": {"a": [math.nan]}}, ("metadata", "a", 0)),
    ({"scheduled_ms": 0}, ("scheduled_ms",)),
    ({"scheduled_ms": now_ms() - HOUR_MS}, ("scheduled_ms",)),
    ({"scheduled_ms": now_ms() + 11 * 365 * 24 * HOUR_MS}, ("scheduled_ms",)),
    ({"max_attempts": 0}, ("max_attempts",)),
    ({"max_attempts": 101}, ("max_attempts",)),
    ({"timeout_s": -1}, ("timeout_s",)),
    ({"timeout_s": math.nan}, ("timeout_s",)),
    ({"timeout_s": 8 * 86_400}, ("timeout_s",)),
    ({"backoff": Backoff(factor=math.inf)}, ("backoff", "factor")),
    ({"backoff": Backoff(base_s=-1)}, ("backoff", "base_s")),
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


async def test_a_newer_signature_holds_as_soon_as_it_is_published(client: Client) -> None:
    (mail,) = [one for one in registry.definitions() if one.name == "send_mail"]
    await enqueue(client, "send_mail", args={"to": "a"})
    schema = {"type": "object", "properties": {"to": {"type": "integer"}}, "additionalProperties": False}
    await client.commands.task.publish([msgspec.structs.replace(mail, args_schema=schema)])
    with pytest.raises(InvalidArguments):
        await enqueue(client, "send_mail", args={"to": "a"})
    assert (await enqueue(client, "send_mail", args={"to": 1})).job.args == {"to": 1}


async def test_many_are_judged_one_by_one(client: Client) -> None:
    requests = [
        EnqueueRequest(task="noop", key="k"),
        EnqueueRequest(task="nope"),
        EnqueueRequest(task="noop", key="k"),
        EnqueueRequest(task="fleeting", args={"number": 1}),
        EnqueueRequest(task="noop", queue="a:b"),
        EnqueueRequest(task="noop", args={"x": 1}),
    ]
    first, unknown, second, memory, queue, args = await client.commands.job.enqueue_many(OPERATOR, requests)
    assert isinstance(first, Enqueued)
    assert isinstance(second, Enqueued)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.job.id == first.job.id
    assert isinstance(memory, Enqueued)
    assert memory.job.durability is Durability.MEMORY
    assert [type(fault) for fault in (unknown, queue, args)] == [UnknownTask, InvalidOption, InvalidArguments]
    assert [job.id for job in await all_jobs(client)] == [first.job.id]


async def test_a_thousand_in_one_call_and_no_more(client: Client) -> None:
    requests = [EnqueueRequest(task="noop") for _ in range(1_001)]
    with pytest.raises(InvalidOption, match="1,000"):
        await client.commands.job.enqueue_many(OPERATOR, requests)
    answers = await client.commands.job.enqueue_many(OPERATOR, requests[:1_000])
    assert len({answer.job.id for answer in answers if isinstance(answer, Enqueued)}) == 1_000
    await until(lambda: client.pusher.pushed == 1_000)
    assert (await client.broker.counts(["default"]))["default"][State.QUEUED] == 1_000


# Keys


async def test_the_same_idempotency_key_leads_to_the_same_job(client: Client, hand: Hand) -> None:
    first = await enqueue(client, "send_mail", args={"to": "a"}, idempotency_key="i")
    again = await enqueue(client, "send_mail", args={"to": "a"}, idempotency_key="i")
    assert (again.duplicate, again.job.id) == (True, first.job.id)
    with pytest.raises(IdempotencyMismatch):
        await enqueue(client, "send_mail", args={"to": "b"}, idempotency_key="i")


async def test_an_idempotency_key_holds_after_the_job_has_ended(client: Client, hand: Hand) -> None:
    first = await enqueue(client, idempotency_key="i", key="k")
    assert await hand.complete() == first.job.id
    again = await enqueue(client, idempotency_key="i", key="k")
    assert (again.duplicate, again.job.id, again.job.state) == (True, first.job.id, State.COMPLETED)


async def test_idempotency_keys_of_different_viewers_do_not_meet(client: Client) -> None:
    first = await enqueue(client, idempotency_key="i")
    other = await client.commands.job.enqueue(ADMIN, EnqueueRequest(task="noop", idempotency_key="i"))
    assert other.job.id != first.job.id


async def test_a_key_is_free_again_once_its_job_has_ended(client: Client, hand: Hand) -> None:
    first = await enqueue(client, key="k")
    assert (await enqueue(client, key="k")).job.id == first.job.id
    await hand.complete()  # not recorded yet: the broker is asked
    second = await enqueue(client, key="k")
    assert not second.duplicate
    assert second.job.id != first.job.id
    await hand.complete()
    await hand.record()
    assert not (await enqueue(client, key="k")).duplicate


async def test_a_memory_task_takes_no_keys(client: Client) -> None:
    with pytest.raises(InvalidOption, match="durability STORE") as fault:
        await enqueue(client, "fleeting", key="k")
    assert fault.value.path == ("key",)


# While Redis is away


async def test_a_job_is_accepted_while_redis_is_away(client: Client, redis_server: RedisServer) -> None:
    redis_server.kill()
    try:
        job = (await enqueue(client, key="k")).job
        assert (await enqueue(client, key="k")).job.id == job.id  # who cannot be asked counts as alive
        found = await client.queries.job.get(READER, job.id)
        assert found is not None
        assert found.state is State.QUEUED
        with pytest.raises(BrokerUnavailable):
            await client.commands.job.cancel(OPERATOR, job.id)
        with pytest.raises(BrokerUnavailable):
            await enqueue(client, "fleeting")
        await until(lambda: client.pusher.left)
        assert [ok for name, ok, _ in await client.health() if name == "broker"] == [False]
    finally:
        redis_server.start()


# Memory


async def test_a_memory_job_is_known_to_the_broker_only(client: Client, hand: Hand) -> None:
    job = (await enqueue(client, "fleeting", args={"number": 7})).job
    assert await all_jobs(client) == []
    found = await client.queries.job.get(READER, job.id)
    assert found is not None
    assert lasting(found) == lasting(job)
    await hand.complete()
    await hand.record()
    assert [one.state for one in await all_jobs(client)] == [State.COMPLETED]


# Cancel


async def test_while_redis_is_empty_a_cancel_can_be_repeated_later(client: Client) -> None:
    job = (await enqueue(client)).job
    await until(lambda: client.pusher.pushed)
    await client.broker.client.flushall()
    with pytest.raises(BrokerUnavailable, match="compared with the store"):
        await client.commands.job.cancel(OPERATOR, job.id)
    await client.broker.raise_epoch(client.broker.epoch + 9)
    assert (await client.commands.job.cancel(OPERATOR, job.id)).state is State.CANCELLED


async def test_a_waiting_job_is_cancelled_at_once_and_once(client: Client) -> None:
    job = (await enqueue(client)).job
    await until(lambda: client.pusher.pushed)
    assert (await client.commands.job.cancel(OPERATOR, job.id)).state is State.CANCELLED
    assert (await client.commands.job.cancel(OPERATOR, job.id)).state is State.CANCELLED


async def test_a_running_job_is_asked_to_stop(client: Client, hand: Hand) -> None:
    job = (await enqueue(client)).job
    await hand.start()
    asked = await client.commands.job.cancel(OPERATOR, job.id)
    assert (asked.state, asked.cancel_requested) == (State.ACTIVE, True)


async def test_a_job_that_never_reached_the_broker_can_be_cancelled(client: Client, hand: Hand) -> None:
    job = (await enqueue(client, tags=("t",), owner="o", metadata={"a": [1]})).job
    await until(lambda: client.pusher.pushed)
    await client.broker.client.delete(*await client.broker.client.keys("*job:*"))
    cancelled = await client.commands.job.cancel(OPERATOR, job.id)
    assert cancelled.state is State.CANCELLED
    assert lasting(msgspec.structs.replace(cancelled, state=State.QUEUED, finished_ms=None)) == lasting(job)
    await hand.record()
    assert [one.state for one in await all_jobs(client)] == [State.CANCELLED]


async def test_an_ended_job_cannot_be_cancelled(client: Client, hand: Hand) -> None:
    await enqueue(client)
    job_id = await hand.complete()
    for _ in range(2):
        with pytest.raises(InvalidState, match="COMPLETED"):
            await client.commands.job.cancel(OPERATOR, job_id)
        await hand.record()


@pytest.mark.parametrize("job_id", ["", "x", "0197c0de-0000-7000-8000-000000000000", "a\x00", "\ud800", "x" * 1_000])
async def test_what_does_not_exist_can_neither_be_cancelled_nor_retried(client: Client, job_id: str) -> None:
    for act in (client.commands.job.cancel, client.commands.job.retry):
        with pytest.raises(NotFound):
            await act(OPERATOR, job_id)
    assert await client.queries.job.get(READER, job_id) is None


# Retry


async def test_a_dead_job_runs_again_under_its_id(client: Client, hand: Hand) -> None:
    await enqueue(client, tags=("t",))
    job_id = await hand.kill()
    with pytest.raises(InvalidState, match="catching up"):
        await client.commands.job.retry(OPERATOR, job_id)
    await hand.record()
    again = await client.commands.job.retry(OPERATOR, job_id)
    assert (again.id, again.run, again.state, again.attempts, again.error) == (job_id, 2, State.QUEUED, 0, None)
    await until(lambda: client.pusher.pushed == 2)
    found = await client.queries.job.get(READER, job_id)
    assert found is not None
    assert lasting(found) == lasting(again)
    assert await hand.complete() == job_id
    await hand.record()
    ended = await client.queries.job.get(READER, job_id)
    assert ended is not None
    assert (ended.state, ended.run) == (State.COMPLETED, 2)


async def test_a_job_that_was_cancelled_before_its_time_runs_at_once_when_it_is_retried(
    client: Client, hand: Hand
) -> None:
    job = (await enqueue(client, scheduled_ms=now_ms() + HOUR_MS)).job
    await until(lambda: client.pusher.pushed)
    await client.commands.job.cancel(OPERATOR, job.id)
    await hand.record()
    again = await client.commands.job.retry(OPERATOR, job.id)
    assert again.state is State.QUEUED
    assert await hand.complete() == job.id


async def test_only_a_dead_or_cancelled_job_can_be_retried(client: Client, hand: Hand) -> None:
    job = (await enqueue(client)).job
    memory = (await enqueue(client, "fleeting")).job
    for job_id in (job.id, memory.id):
        with pytest.raises(InvalidState):
            await client.commands.job.retry(OPERATOR, job_id)
    await hand.complete()
    await hand.complete()
    await hand.record()
    for job_id in (job.id, memory.id):
        with pytest.raises(InvalidState, match="COMPLETED"):
            await client.commands.job.retry(OPERATOR, job_id)


async def test_a_job_whose_key_another_one_holds_by_now_cannot_be_retried(client: Client, hand: Hand) -> None:
    await enqueue(client, key="k")
    dead = await hand.kill()
    await hand.record()
    await enqueue(client, key="k")
    with pytest.raises(InvalidState, match="has the key k"):
        await client.commands.job.retry(OPERATOR, dead)


# Who may


async def test_a_reader_changes_nothing(client: Client) -> None:
    commands, request = client.commands.job, EnqueueRequest(task="noop")
    job = (await enqueue(client)).job
    await until(lambda: client.pusher.pushed)
    attempts: list[Callable[[], Any]] = [
        lambda: commands.enqueue(READER, request),
        lambda: commands.enqueue_many(READER, [request]),
        lambda: commands.cancel(READER, job.id),
        lambda: commands.retry(READER, job.id),
        lambda: client.commands.token.issue(READER, TokenKind.API, name="n", role=Role.ADMIN),
        lambda: client.commands.token.issue(OPERATOR, TokenKind.API, name="n", role=Role.ADMIN),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            await attempt()
    assert [(one.id, one.state) for one in await all_jobs(client)] == [(job.id, State.QUEUED)]
    figures = client.gate.figures
    assert (figures["job.enqueue"].calls, figures["job.enqueue"].refused) == (2, 1)
    assert figures["token.issue"].refused == 2


async def test_a_code_becomes_a_session_once(client: Client) -> None:
    code = await client.commands.token.issue(ADMIN, TokenKind.CODE, name="browser", role=Role.OPERATOR, ttl_s=60)
    assert await client.queries.token.authenticate(code) is None
    secret = await client.commands.token.exchange(code)
    assert secret is not None
    viewer = await client.queries.token.authenticate(secret)
    assert viewer is not None
    assert viewer.role is Role.OPERATOR
    assert await client.commands.token.exchange(code) is None
    assert await client.queries.token.authenticate("qq_x_y") is None


async def test_closing_pushes_what_waits(open_client: Callable[..., Any], client: Client) -> None:
    other = await open_client()
    requests = [EnqueueRequest(task="noop") for _ in range(500)]
    answers: list[Enqueued | RequestError] = await other.commands.job.enqueue_many(OPERATOR, requests)
    await other.pusher.stop()
    assert other.pusher.pushed == len(answers) == 500


# The pusher


async def test_what_waited_too_long_is_left_to_the_reconciler(client: Client) -> None:
    now = 100.0
    pusher = Pusher(client.broker, monotonic=lambda: now)
    pusher.add([Push(spec=make_spec())])
    now += 6
    pusher.add([Push(spec=make_spec())])
    pusher.start()
    await pusher.stop()
    assert (pusher.pushed, pusher.left) == (1, 1)


async def test_a_push_that_comes_too_late_is_refused_and_left_to_the_reconciler(client: Client) -> None:
    pusher = Pusher(client.broker, deadline_ms=-1_000)
    spec = make_spec()
    pusher.add([Push(spec=spec)])
    pusher.start()
    await pusher.stop()
    assert (pusher.pushed, pusher.left) == (0, 1)
    assert await client.broker.jobs([spec.id]) == {}


async def test_overflow_is_left_to_the_reconciler(client: Client) -> None:
    pusher = Pusher(client.broker)
    pusher.add([Push(spec=make_spec())] * (WAITING_MAX + 7))
    assert (pusher.waiting, pusher.left) == (WAITING_MAX, 7)
    await pusher.stop()
