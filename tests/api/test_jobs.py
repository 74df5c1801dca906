"""Jobs through the API, on both databases: look, cancel, retry."""

from __future__ import annotations

from jobs.client import Client
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue, job_of
from tests.databases import dialect  # noqa: F401  # the fixture: both databases
from tests.jobs.hand import Hand
from tests.redis_server import RedisServer
from tests.wait import until

CANCEL = "mutation ($id: ID!) {jobCancel(input: {id: $id}) {job {id state} userErrors {__typename code field}}}"
RETRY = """
mutation ($id: ID!) {
  jobRetry(input: {id: $id}) {
    job { id state run }
    userErrors { __typename code field ... on InvalidStateError { job { state } } }
  }
}
"""


async def test_cancel_and_retry(api: Caller, hand: Hand, client: Client) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    early = (await api.data(RETRY, id=job_id))["jobRetry"]
    assert early["job"] is None
    (error,) = early["userErrors"]
    assert (error["__typename"], error["code"], error["job"]) == (
        "InvalidStateError",
        "INVALID_STATE",
        {"state": "QUEUED"},
    )
    assert (await api.data(CANCEL, id=job_id))["jobCancel"] == {
        "job": {"id": job_id, "state": "CANCELLED"},
        "userErrors": [],
    }
    await hand.record()
    assert (await job_of(api, job_id, "viewerCanRetry"))["viewerCanRetry"] is True
    retried = (await api.data(RETRY, id=job_id))["jobRetry"]
    assert retried == {"job": {"id": job_id, "state": "QUEUED", "run": 2}, "userErrors": []}
    assert await hand.kill() == job_id
    await hand.record()
    job = await job_of(api, job_id, "state reason run error {type message stack} attempts {nodes {run number state}}")
    assert (job["state"], job["reason"], job["run"]) == ("DEAD", "NOT_RETRYABLE", 2)
    assert job["error"] == {"type": "ValueError", "message": "no", "stack": None}
    assert job["attempts"]["nodes"] == [{"run": 2, "number": 1, "state": "FAILED"}]
    refused = (await api.data(CANCEL, id=job_id))["jobCancel"]
    assert refused["userErrors"] == [{"__typename": "InvalidStateError", "code": "INVALID_STATE", "field": None}]


async def test_a_cancel_is_accepted_and_shown_while_redis_is_away(
    api: Caller, hand: Hand, client: Client, redis_server: RedisServer
) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    await until(lambda: client.pusher.pushed)
    redis_server.kill()
    try:
        answer = (await api.data(CANCEL, id=job_id))["jobCancel"]
        assert answer == {"job": {"id": job_id, "state": "QUEUED"}, "userErrors": []}
        assert await job_of(api, job_id, "cancelRequested viewerCanCancel") == {
            "cancelRequested": True, "viewerCanCancel": False
        }  # fmt: skip
    finally:
        redis_server.start()


async def test_a_job_that_is_not_recorded_yet(api: Caller, hand: Hand) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    await hand.complete("42")
    assert await job_of(api, job_id, "state result") == {"state": "COMPLETED", "result": 42}


async def test_what_is_not_there(api: Caller) -> None:
    for unknown in ("nope", "0197c0de-0000-7000-8000-000000000000", "x" * 5_000, "VGFzazpub3Bl", "\x00", "é"):
        for document, name in ((CANCEL, "jobCancel"), (RETRY, "jobRetry")):
            payload = (await api.data(document, id=unknown))[name]
            assert payload["job"] is None
            assert payload["userErrors"][0]["code"] == "NOT_FOUND"
        data = await api.data(
            "query ($id: ID!) {job(id: $id) {id} node(id: $id) {id} nodes(ids: [$id]) {id} worker(id: $id) {id}}",
            id=unknown,
        )
        assert data == {"job": None, "node": None, "nodes": [None], "worker": None}
    assert await api.data('{queue(name: "nope") {id} task(name: "nope") {id}}') == {"queue": None, "task": None}
