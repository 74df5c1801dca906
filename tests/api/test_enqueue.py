"""Enqueueing through the API, on both databases: options, keys, many at once, and every kind of bad input."""

from __future__ import annotations

from typing import Any

from jobs.job import LogLevel, Progress
from jobs.outcome import Complete
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue, job_of
from tests.databases import dialect  # noqa: F401  # the fixture: both databases
from tests.jobs.hand import Hand


async def test_a_job_from_its_options_to_its_end(api: Caller, hand: Hand) -> None:
    options = {
        "args": {"to": "a@b.example", "address": {"street": "x"}},
        "queue": "default",
        "priority": "HIGH",
        "maxAttempts": 7,
        "backoff": {"kind": "LINEAR", "base": "PT5S"},
        "timeout": "PT1M30S",
        "owner": "u17",
        "tags": ["tenant=42", "x"],
        "metadata": {"trace": [1, None, {"a": 2**60}]},
        "key": "k1",
    }
    payload = await enqueue(api, "send_mail", **options)
    assert payload["userErrors"] == []
    job_id = payload["job"]["id"]
    job = await job_of(
        api,
        job_id,
        "task queue state priority args maxAttempts backoff {kind base factor max jitter} timeout owner tags metadata "
        "key run version attemptCount durability createdAt updatedAt scheduledAt startedAt finishedAt result "
        "error {type} reason progress {done} worker crashes recoveries retryOf cancelRequested "
        "viewerCanRetry viewerCanCancel",
    )
    assert job["args"] == {
        "to": "a@b.example", "copies": 1, "colour": "dark red", "address": {"street": "x", "house_number": 1},
        "patience": "PT5M", "speed": "slow", "either": 0, "factor": 1.0,
    }  # fmt: skip
    assert job["metadata"] == options["metadata"]
    assert (job["task"], job["queue"], job["state"], job["priority"]) == ("send_mail", "default", "QUEUED", "HIGH")
    assert (job["maxAttempts"], job["timeout"], job["owner"], job["key"]) == (7, "PT1M30S", "u17", "k1")
    assert sorted(job["tags"]) == ["tenant=42", "x"]
    assert job["backoff"] == {"kind": "LINEAR", "base": "PT5S", "factor": 2, "max": "PT24H", "jitter": 0.1}
    assert (job["run"], job["attemptCount"], job["durability"]) == (1, 0, "STORE")
    assert job["createdAt"].endswith("Z")
    assert [job[name] for name in ("scheduledAt", "startedAt", "finishedAt", "result", "error", "reason")] == [None] * 6
    assert (job["viewerCanRetry"], job["viewerCanCancel"]) == (False, True)

    reserved = await hand.start()
    await hand.progress(reserved, Progress(done=1, total=4, step="render", at_ms=1, eta_ms=2))
    for level in LogLevel:
        await hand.log(reserved, level, f"at {level.name}")
    await hand.finish(reserved, Complete('{"sent": 1}'), cpu_us=1_500)
    await hand.record()
    job = await job_of(
        api,
        job_id,
        "state result startedAt finishedAt attemptCount viewerCanCancel "
        "attempts {nodes {run number state worker duration cpuTime startedAt finishedAt error {message}}} "
        "progress {percentage done total step message updatedAt estimatedEndAt} "
        "logs(levelMin: WARNING) {nodes {level message run attempt at context stack}}",
    )
    assert (job["state"], job["result"], job["attemptCount"]) == ("COMPLETED", {"sent": 1}, 1)
    assert job["viewerCanCancel"] is False
    (attempt,) = job["attempts"]["nodes"]
    assert (attempt["number"], attempt["state"], attempt["error"]) == (1, "COMPLETED", None)
    assert (attempt["duration"][:2], attempt["cpuTime"]) == ("PT", "PT0.0015S")
    assert job["progress"] == {
        "percentage": 25,
        "done": 1,
        "total": 4,
        "step": "render",
        "message": None,
        "updatedAt": "1970-01-01T00:00:00.001Z",
        "estimatedEndAt": "1970-01-01T00:00:00.002Z",
    }
    assert [line["level"] for line in job["logs"]["nodes"]] == ["WARNING", "ERROR"]


BAD: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"task": "nope"}, "UNKNOWN_TASK", ["task"]),
    ({"task": "send_mail", "args": {}}, "INVALID_ARGUMENTS", ["args", "to"]),
    ({"task": "send_mail", "args": {"to": 1}}, "INVALID_ARGUMENTS", ["args", "to"]),
    ({"task": "send_mail", "args": {"to": "x", "more": 1}}, "INVALID_ARGUMENTS", ["args", "more"]),
    (
        {"task": "send_mail", "args": {"to": "x", "address": {"street": 1}}},
        "INVALID_ARGUMENTS",
        ["args", "address", "street"],
    ),
    ({"task": "send_mail", "args": {"to": "x", "factor": float("nan")}}, "INVALID_ARGUMENTS", ["args", "factor"]),
    ({"task": "send_mail", "args": {"to": "x", "factor": float("inf")}}, "INVALID_ARGUMENTS", ["args", "factor"]),
    ({"task": "send_mail", "args": {"to": "x", "cc": ["a", None]}}, "INVALID_ARGUMENTS", ["args", "cc", "1"]),
    ({"task": "send_mail", "args": {"to": "x" * 1_100_000}}, "PAYLOAD_TOO_LARGE", ["args"]),
    ({"task": "noop", "args": [1]}, "INVALID_ARGUMENTS", ["args"]),
    ({"task": "noop", "args": "x"}, "INVALID_ARGUMENTS", ["args"]),
    ({"task": "noop", "queue": "a b"}, "INVALID_OPTION", ["queue"]),
    ({"task": "noop", "queue": "q" * 129}, "INVALID_OPTION", ["queue"]),
    ({"task": "noop", "scheduledAt": "2001-01-01T00:00:00Z"}, "INVALID_OPTION", ["scheduledAt"]),
    ({"task": "noop", "scheduledAt": "9999-01-01T00:00:00Z"}, "INVALID_OPTION", ["scheduledAt"]),
    ({"task": "noop", "maxAttempts": 0}, "INVALID_OPTION", ["maxAttempts"]),
    ({"task": "noop", "timeout": "P8D"}, "INVALID_OPTION", ["timeout"]),
    ({"task": "noop", "backoff": {"base": "P8D"}}, "INVALID_OPTION", ["backoff", "base"]),
    ({"task": "noop", "backoff": {"jitter": 2}}, "INVALID_OPTION", ["backoff", "jitter"]),
    ({"task": "noop", "key": ""}, "INVALID_OPTION", ["key"]),
    ({"task": "noop", "idempotencyKey": "k" * 513}, "INVALID_OPTION", ["idempotencyKey"]),
    ({"task": "noop", "tags": ["ok", "not ok"]}, "INVALID_OPTION", ["tags", "1"]),
    ({"task": "noop", "metadata": [1]}, "INVALID_OPTION", ["metadata"]),
    ({"task": "noop", "metadata": {"x": float("nan")}}, "INVALID_OPTION", ["metadata", "x"]),
]


async def test_bad_input_is_refused_and_nothing_is_enqueued(api: Caller) -> None:
    for given, code, path in BAD:
        payload = await enqueue(api, **given)
        (error,) = payload["userErrors"]
        assert (error["code"], error["path"]) == (code, path), error
        assert (error["__typename"], error["field"]) == ("ValidationError", path[0])
        assert error["message"]
        assert payload["job"] is None
    assert (await api.data("{jobs {totalCount {value precision}}}"))["jobs"]["totalCount"] == {
        "value": 0,
        "precision": "EXACT",
    }


async def test_a_number_in_the_document_that_no_json_has(api: Caller) -> None:
    data = await api.data(
        'mutation {jobEnqueue(input: {task: "send_mail", args: {to: "x", factor: 1e999}}) {userErrors {code}}}'
    )
    assert data["jobEnqueue"]["userErrors"] == [{"code": "INVALID_ARGUMENTS"}]


async def test_keys(api: Caller) -> None:
    first = await enqueue(api, key="one")
    again = await enqueue(api, key="one")
    assert (first["isDuplicate"], again["isDuplicate"]) == (False, True)
    assert again["job"] == first["job"]
    mail = await enqueue(api, "send_mail", args={"to": "a"}, idempotencyKey="i")
    same = await enqueue(api, "send_mail", args={"to": "a"}, idempotencyKey="i")
    assert (same["job"], same["isDuplicate"]) == (mail["job"], True)
    other = await enqueue(api, "send_mail", args={"to": "b"}, idempotencyKey="i")
    (error,) = other["userErrors"]
    assert (error["__typename"], error["code"]) == ("DuplicateJobError", "IDEMPOTENCY_MISMATCH")
    assert error["existingJob"] == mail["job"]


async def test_who_has_the_idempotency_key_within_one_call(api: Caller) -> None:
    document = """
    mutation ($jobs: [JobEnqueueInput!]!) {
      jobsEnqueue(input: {jobs: $jobs}) {
        results { job { id } userErrors { ... on DuplicateJobError { existingJob { id } } } }
      }
    }
    """
    jobs = [{"task": "send_mail", "args": {"to": to}, "idempotencyKey": "i"} for to in ("a", "b")]
    first, second = (await api.data(document, jobs=jobs))["jobsEnqueue"]["results"]
    assert first["userErrors"] == []
    assert (second["job"], second["userErrors"]) == (None, [{"existingJob": first["job"]}])


async def test_many_in_one_call(api: Caller) -> None:
    document = "mutation ($jobs: [JobEnqueueInput!]!) {jobsEnqueue(input: {jobs: $jobs}) "
    fields = "{results {job {id} userErrors {code ... on ValidationError {path}}} userErrors {code field}}}"
    jobs = [{"task": "noop"}] * 300 + [{"task": "nope"}, {"task": "noop", "metadata": 1}] + [{"task": "noop"}] * 698
    payload = (await api.data(document + fields, jobs=jobs))["jobsEnqueue"]
    assert payload["userErrors"] == []
    results = payload["results"]
    assert len({result["job"]["id"] for result in results if result["job"]}) == 998
    assert results[300]["userErrors"] == [{"code": "UNKNOWN_TASK", "path": ["task"]}]
    assert results[301]["userErrors"] == [{"code": "INVALID_OPTION", "path": ["metadata"]}]
    payload = (await api.data(document + fields, jobs=[*jobs, {"task": "noop"}]))["jobsEnqueue"]
    assert payload == {"results": [], "userErrors": [{"code": "INVALID_OPTION", "field": "jobs"}]}


async def test_large_numbers_keep_every_digit_or_are_refused(api: Caller) -> None:
    payload = await enqueue(api, "anything", args={"n": 2**63 - 1})
    assert (await job_of(api, payload["job"]["id"], "args"))["args"] == {"n": 2**63 - 1}
    payload = await enqueue(api, "anything", args={"n": 2**100})
    assert payload["userErrors"][0]["path"] == ["args", "n"]
