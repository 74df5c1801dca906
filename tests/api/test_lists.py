"""Lists through the API, on both databases: pages, cursors, filters, nodes."""

from __future__ import annotations

from api.schema.node import node_id
from jobs.job import LogLevel
from jobs.outcome import Complete
from tests.api.caller import Caller
from tests.api.jobs_of import enqueue, job_of
from tests.databases import dialect  # noqa: F401  # the fixture: both databases
from tests.jobs.hand import Hand

PAGE = """
query ($first: Int, $after: Cursor, $last: Int, $before: Cursor, $direction: OrderDirection!) {
  jobs(first: $first, after: $after, last: $last, before: $before, orderBy: {direction: $direction}) {
    nodes { id }
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount { value precision }
  }
}
"""


async def test_nodes(api: Caller, hand: Hand) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    data = await api.data("{tasks {nodes {id name}} workers {nodes {id session}} queues {nodes {id name}}}")
    ids = [job_id, *(data[kind]["nodes"][0]["id"] for kind in ("tasks", "workers", "queues"))]
    nodes = (await api.data("query ($ids: [ID!]!) {nodes(ids: $ids) {__typename id}}", ids=ids))["nodes"]
    assert nodes == [
        {"__typename": kind, "id": node_id}
        for kind, node_id in zip(("Job", "Task", "Worker", "Queue"), ids, strict=True)
    ]
    worker = data["workers"]["nodes"][0]
    for given in (worker["id"], worker["session"]):
        assert (await api.data("query ($id: ID!) {worker(id: $id) {session}}", id=given))["worker"] == {
            "session": worker["session"]
        }
    (error,) = await api.errors("query ($ids: [ID!]!) {nodes(ids: $ids) {id}}", ids=[job_id] * 101)
    assert error["extensions"]["code"] == "INVALID_OPTION"


async def test_tasks_queues_and_workers(api: Caller, hand: Hand) -> None:
    await enqueue(api)
    await enqueue(api, scheduledAt="2030-01-01T00:00:00Z")
    await enqueue(api, "send_mail", args={"to": "x"})
    await hand.start()
    data = await api.data(
        '{task(name: "send_mail") {name description mutation queue maxAttempts timeout priority durability argsSchema '
        "resultSchema backoff {base}} "
        "queues(first: 1) {nodes {name counts {blocked scheduled queued active retrying}} pageInfo {hasNextPage}} "
        "workers {nodes {host pid version queues tasks concurrency active startedAt seenAt}}}"
    )
    task = data["task"]
    assert (task["mutation"], task["queue"], task["maxAttempts"], task["timeout"]) == (
        "sendMailEnqueue",
        "email",
        5,
        "PT30S",
    )
    assert task["description"] == "Send a mail."
    assert task["argsSchema"]["required"] == ["to"]
    assert task["resultSchema"] == {"type": "integer"}
    assert data["queues"]["nodes"] == [
        {"name": "default", "counts": {"blocked": 0, "scheduled": 1, "queued": 0, "active": 1, "retrying": 0}}
    ]
    assert data["queues"]["pageInfo"]["hasNextPage"] is True
    (worker,) = data["workers"]["nodes"]
    assert (worker["host"], worker["concurrency"], worker["active"]) == ("test", 10, 1)


async def test_pages_forward_and_backward(api: Caller) -> None:
    ids = [(await enqueue(api))["job"]["id"] for _ in range(5)]
    for direction, expected in (("ASC", ids), ("DESC", ids[::-1])):
        forward: list[str] = []
        cursor, pages = None, 0
        while True:
            page = (await api.data(PAGE, first=2, after=cursor, direction=direction))["jobs"]
            assert page["totalCount"] == {"value": 5, "precision": "EXACT"}
            assert page["pageInfo"]["hasPreviousPage"] is (pages > 0)
            assert [edge["node"] for edge in page["edges"]] == page["nodes"]
            forward += [node["id"] for node in page["nodes"]]
            cursor, pages = page["pageInfo"]["endCursor"], pages + 1
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert (forward, pages) == (expected, 3)
        backward: list[str] = []
        cursor = None
        while True:
            page = (await api.data(PAGE, last=2, before=cursor, direction=direction))["jobs"]
            backward = [node["id"] for node in page["nodes"]] + backward
            cursor = page["pageInfo"]["startCursor"]
            if not page["pageInfo"]["hasPreviousPage"]:
                break
        assert backward == expected


async def test_windows_that_make_no_sense(api: Caller) -> None:
    for given in ({"first": 0}, {"first": 101}, {"last": -1}, {"first": 1, "last": 1}):
        (error,) = await api.errors(PAGE, direction="ASC", **given)
        assert error["extensions"]["code"] == "INVALID_OPTION"
    some_job = (await enqueue(api))["job"]["id"]
    of_a_queue = (await api.data("{queues {edges {cursor}}}"))["queues"]["edges"][0]["cursor"]
    for cursor in ("nope", "%%%", "é", "a" * 5_000, of_a_queue, some_job):
        for name in ("after", "before"):
            (error,) = await api.errors(PAGE, direction="ASC", **{name: cursor})
            assert error["extensions"]["code"] == "INVALID_CURSOR", cursor
        inner = f'query ($c: Cursor) {{job(id: "{some_job}") {{attempts(after: $c) {{nodes {{run}}}}}}}}'
        (error,) = await api.errors(inner, c=cursor)
        assert error["extensions"]["code"] == "INVALID_CURSOR"


async def test_filters(api: Caller, hand: Hand) -> None:
    done = (await enqueue(api, owner="ann", tags=["a"]))["job"]["id"]
    assert await hand.complete() == done
    await hand.record()
    waits = (await enqueue(api, "send_mail", args={"to": "x"}, owner="bob", tags=["a", "b"]))["job"]["id"]
    created = (await job_of(api, waits, "createdAt"))["createdAt"]
    document = "query ($where: JobWhere) {jobs(where: $where) {nodes {id}}}"
    for where, expected in (
        ({}, [waits, done]),
        ({"states": ["COMPLETED", "DEAD"]}, [done]),
        ({"states": ["QUEUED"]}, [waits]),
        ({"tasks": ["send_mail"]}, [waits]),
        ({"queues": ["email"]}, [waits]),
        ({"owners": ["ann", "carl"]}, [done]),
        ({"tags": ["a"]}, [waits, done]),
        ({"tags": ["b"], "owners": ["ann"]}, []),
        ({"createdAt": {"from": created}}, [waits]),
        ({"createdAt": {"until": created}}, [done]),
        ({"args": [{"path": "to", "equals": "x"}]}, [waits]),
        ({"args": [{"path": "to", "exists": False}]}, [done]),
        ({"not": [{"tags": ["b"]}]}, [done]),
        ({"or": [{"owners": ["ann"]}, {"tasks": ["send_mail"]}], "and": [{"tags": ["b"]}]}, [waits]),
        ({"text": "state:queued args.to:x"}, [waits]),
        ({"text": "-task:send_mail", "tags": ["a"]}, [done]),
    ):
        nodes = (await api.data(document, where=where))["jobs"]["nodes"]
        assert [node["id"] for node in nodes] == expected, where
    (error,) = await api.errors(document, where={"tags": ["t"] * 101})
    assert error["extensions"]["code"] == "INVALID_OPTION"
    for name in ("states", "tasks", "queues", "owners", "tags"):
        (error,) = await api.errors(document, where={name: []})
        assert error["extensions"]["code"] == "INVALID_OPTION"
        assert error["message"] == f"`{name}` is empty, so no job would fit; leave it out to mean all."
    (error,) = await api.errors(document, where={"owners": ["\0"]})
    assert error["extensions"]["code"] == "INVALID_OPTION"


async def test_attempts_of_a_page_are_read_at_once(api: Caller, hand: Hand) -> None:
    for _ in range(3):
        await enqueue(api)
        await hand.complete()
    await hand.record()
    data = await api.data("{jobs {nodes {attempts(last: 1) {edges {cursor node {number}} pageInfo {hasNextPage}}}}}")
    for node in data["jobs"]["nodes"]:
        assert node["attempts"]["edges"][0]["node"] == {"number": 1}


async def test_attempts_and_log_lines_are_nodes(api: Caller, hand: Hand) -> None:
    job_id = (await enqueue(api))["job"]["id"]
    job = await hand.start()
    await hand.log(job, LogLevel.INFO, "hello")
    await hand.finish(job, Complete("1"))
    await hand.record()
    document = "query ($id: ID!) {job(id: $id) {attempts {nodes {id}} logs {nodes {id}}}}"
    found = (await api.data(document, id=job_id))["job"]
    ids = [found["attempts"]["nodes"][0]["id"], found["logs"]["nodes"][0]["id"]]
    document = "query ($ids: [ID!]!) {nodes(ids: $ids) {__typename id ...on Attempt {number} ...on LogLine {message}}}"
    assert (await api.data(document, ids=ids))["nodes"] == [
        {"__typename": "Attempt", "id": ids[0], "number": 1},
        {"__typename": "LogLine", "id": ids[1], "message": "hello"},
    ]
    nobody = [node_id("Attempt", f"{job_id}:1:2"), node_id("LogLine", f"{job_id}:x"), node_id("LogLine", "nobody:1")]
    assert (await api.data(document, ids=nobody))["nodes"] == [None, None, None]
