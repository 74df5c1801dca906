"""What is kept, through the API: policies, previews, and cleaning by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from jobs.client import Client
from jobs.clock import now_ms
from jobs.commands import retention as commands
from jobs.job import State
from jobs.retention import DAY_S, SHIPPED, Kind
from jobs.viewer import Role
from tests.api.caller import Caller
from tests.jobs.store.past import Past, left
from tests.jobs.store.story import Story

LIST = """
query ($after: Cursor) {
  retentionPolicies(first: 100, after: $after) {
    nodes {
      id kind queue keepFor keepCount every isShipped ranAt removed removedTotal nextRunAt
    }
    pageInfo { hasNextPage }
  }
}
"""
SET = """
mutation ($input: RetentionSetInput!) {
  retentionSet(input: $input) {
    policy { id kind queue keepFor keepCount every isShipped nextRunAt } userErrors { code field }
  }
}
"""
REMOVE = """
mutation ($input: RetentionRemoveInput!) {
  retentionRemove(input: $input) { policy { kind queue keepFor keepCount isShipped } userErrors { code field } }
}
"""
PREVIEW = """
query ($policy: RetentionPreviewInput!) {
  retentionPreview(policy: $policy) {
    kind oldestAt newestAt count { value precision } shares { queue oldestAt newestAt count { value precision } }
  }
}
"""
CLEAN = """
mutation ($input: JobsCleanInput!) {
  jobsClean(input: $input) { removedCount isComplete userErrors { code field } }
}
"""
CLEAN_QUEUE = """
mutation ($input: QueueCleanInput!) {
  queueClean(input: $input) { removedCount isComplete userErrors { code field } }
}
"""


@pytest.fixture
def past(client: Client) -> Past:
    return Past(client.store, Story(client.store))


@pytest.fixture
async def operator(address: str, issue: Callable[..., Awaitable[str]]) -> AsyncIterator[Caller]:
    async with Caller(address, await issue(Role.OPERATOR)) as caller:
        yield caller


def ago(seconds: float) -> int:
    return now_ms() - int(seconds * 1000)


async def policies(api: Caller) -> dict[tuple[str, str | None], Any]:
    return {(one["kind"], one["queue"]): one for one in (await api.data(LIST))["retentionPolicies"]["nodes"]}


async def test_the_shipped_policies_are_listed_with_that_of_events(api: Caller) -> None:
    found = await policies(api)
    assert {kind for kind, _ in found} == set(Kind)
    completed = found["COMPLETED", None]
    assert (completed["keepFor"], completed["keepCount"], completed["every"]) == ("PT720H", None, "PT1H")
    assert (completed["isShipped"], completed["ranAt"], completed["removedTotal"]) == (True, None, "0")
    assert completed["nextRunAt"]
    events = found["EVENT", None]
    assert (events["keepFor"], events["isShipped"], events["nextRunAt"]) == ("PT10M", False, None)


async def test_a_policy_is_set_found_and_removed(api: Caller) -> None:
    given = {"kind": "DEAD", "queue": "mail", "keepFor": "P90D", "keepCount": 20}
    answer = (await api.data(SET, input=given))["retentionSet"]
    assert answer["userErrors"] == []
    made = answer["policy"]
    assert (made["queue"], made["keepFor"], made["keepCount"], made["every"]) == ("mail", "PT2160H", 20, "PT6H")
    assert not made["isShipped"]
    node = "query ($id: ID!) {node(id: $id) {id ... on RetentionPolicy {keepCount}}}"
    assert (await api.data(node, id=made["id"]))["node"] == {"id": made["id"], "keepCount": 20}
    everything = (await api.data(SET, input={"kind": "DEAD", "every": "PT1M"}))["retentionSet"]["policy"]
    assert (everything["keepFor"], everything["keepCount"], everything["nextRunAt"]) == (None, None, None)
    assert set(await policies(api)) == {*((str(kind), None) for kind in Kind), ("DEAD", "mail")}
    removed = (await api.data(REMOVE, input={"kind": "DEAD", "queue": "mail"}))["retentionRemove"]
    assert removed == {
        "policy": {"kind": "DEAD", "queue": None, "keepFor": None, "keepCount": None, "isShipped": False},
        "userErrors": [],
    }
    assert (await api.data(node, id=made["id"]))["node"] is None
    removed = (await api.data(REMOVE, input={"kind": "DEAD"}))["retentionRemove"]
    assert (removed["policy"]["keepFor"], removed["policy"]["isShipped"]) == ("PT2160H", True)
    again = (await api.data(REMOVE, input={"kind": "DEAD"}))["retentionRemove"]
    assert again == {"policy": None, "userErrors": [{"code": "NOT_FOUND", "field": "kind"}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "EVENT", "keepFor": "P1D"}, "kind"),
        ({"kind": "LOG", "queue": "mail", "keepFor": "P1D"}, "queue"),
        ({"kind": "DEAD", "queue": "ma il", "keepFor": "P1D"}, "queue"),
        ({"kind": "DEAD", "queue": "", "keepFor": "P1D"}, "queue"),  # it does not mean all of them
        ({"kind": "LOG", "keepCount": 5}, "keepCount"),
        ({"kind": "DEAD", "keepCount": -1}, "keepCount"),
        ({"kind": "DEAD", "keepCount": 1_000_001}, "keepCount"),
        ({"kind": "DEAD", "keepFor": "P36501D"}, "keepFor"),
        ({"kind": "DEAD", "every": "PT59S"}, "every"),
        ({"kind": "DEAD", "every": "PT0S"}, "every"),
        ({"kind": "DEAD", "every": "P32D"}, "every"),
    ],
)
async def test_policies_that_cannot_be_are_refused(api: Caller, given: dict[str, Any], field: str) -> None:
    answer = (await api.data(SET, input=given))["retentionSet"]
    assert answer == {"policy": None, "userErrors": [{"code": "INVALID_OPTION", "field": field}]}
    assert set(await policies(api)) == {(str(kind), None) for kind in Kind}
    if field != "every":
        (error,) = await api.errors(PREVIEW, policy=given)
        assert error["extensions"]["code"] == "INVALID_OPTION"


@pytest.mark.parametrize("queue", ["", "a b"])
async def test_only_what_may_be_a_queue_has_a_policy_to_remove(api: Caller, queue: str) -> None:
    assert await api.data(SET, input={"kind": "DEAD", "keepFor": "P1D"})
    answer = (await api.data(REMOVE, input={"kind": "DEAD", "queue": queue}))["retentionRemove"]
    assert answer == {"policy": None, "userErrors": [{"code": "INVALID_OPTION", "field": "queue"}]}
    assert (await policies(api))["DEAD", None]["keepFor"] == "PT24H"


async def test_a_preview_says_what_would_go(api: Caller, past: Past) -> None:
    await past.ended(ago(40 * DAY_S), ago(35 * DAY_S), ago(2 * DAY_S), queue="mail")
    await past.ended(ago(3 * DAY_S), queue="report")
    now = (await api.data(PREVIEW, policy={"kind": "COMPLETED"}))["retentionPreview"]
    assert (now["kind"], now["count"]) == ("COMPLETED", {"value": 2, "precision": "EXACT"})
    assert [(one["queue"], one["count"]["value"]) for one in now["shares"]] == [("mail", 2)]
    assert (now["oldestAt"], now["newestAt"]) == (now["shares"][0]["oldestAt"], now["shares"][0]["newestAt"])
    mine = (await api.data(PREVIEW, policy={"kind": "COMPLETED", "queue": "report"}))["retentionPreview"]
    assert mine["count"]["value"] == 0
    other = (await api.data(PREVIEW, policy={"kind": "COMPLETED", "keepFor": "P1D"}))["retentionPreview"]
    assert [(one["queue"], one["count"]["value"]) for one in other["shares"]] == [("mail", 3), ("report", 1)]
    only = (await api.data(PREVIEW, policy={"kind": "COMPLETED", "queue": "mail", "keepCount": 1}))["retentionPreview"]
    assert only["count"]["value"] == 2
    nothing = (await api.data(PREVIEW, policy={"kind": "DEAD", "keepFor": "P1D"}))["retentionPreview"]
    assert nothing == {
        "kind": "DEAD", "oldestAt": None, "newestAt": None, "count": {"value": 0, "precision": "EXACT"}, "shares": [],
    }  # fmt: skip
    logs = (await api.data(PREVIEW, policy={"kind": "LOG", "keepFor": "P1D"}))["retentionPreview"]
    assert (logs["count"]["value"], [one["queue"] for one in logs["shares"]]) == (4, [None])


async def test_jobs_are_cleaned_by_hand(operator: Caller, client: Client, past: Past) -> None:
    mail = await past.ended(ago(2 * DAY_S), ago(3600), queue="mail")
    report = await past.ended(ago(2 * DAY_S), queue="report")
    dead = await past.ended(ago(2 * DAY_S), queue="mail", state=State.DEAD)

    async def found() -> list[list[int]]:
        return [await left(client.store, specs) for specs in (mail, report, dead)]

    done = (await operator.data(CLEAN_QUEUE, input={"name": "mail", "states": ["COMPLETED"]}))["queueClean"]
    assert done == {"removedCount": 1, "isComplete": True, "userErrors": []}
    assert await found() == [[1], [0], [0]]
    given = {"states": ["COMPLETED", "DEAD"], "olderThan": "PT30M"}
    done = (await operator.data(CLEAN, input=given))["jobsClean"]
    assert done == {"removedCount": 3, "isComplete": True, "userErrors": []}
    assert await found() == [[], [], []]


async def test_cleaning_ends_when_its_time_is_up_and_says_so(
    operator: Caller, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.pace.SHARE_MIN_S", 0.0)
    specs = await past.ended(*[ago(2 * DAY_S)] * 60, queue="mail")
    given = {"states": ["COMPLETED"], "within": "PT0.001S"}
    removed = 0
    for _ in specs:
        done = (await operator.data(CLEAN, input=given))["jobsClean"]
        removed += done["removedCount"]
        if done["isComplete"]:
            break
        assert removed < len(specs) or done["removedCount"]
    assert removed == len(specs)
    assert done == {"removedCount": 0, "isComplete": True, "userErrors": []}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"states": []}, ("INVALID_OPTION", "states")),
        ({"states": ["DEAD", "ACTIVE"]}, ("INVALID_OPTION", "states")),
        ({"states": ["DEAD"], "olderThan": "PT9M59S"}, ("INVALID_OPTION", "olderThan")),
        ({"states": ["DEAD"], "within": "PT0S"}, ("INVALID_OPTION", "within")),
        ({"states": ["DEAD"], "within": "PT26S"}, ("INVALID_OPTION", "within")),
        ({"states": ["DEAD"], "queues": ["nobody"]}, ("NOT_FOUND", "queues")),
        ({"states": ["DEAD"], "queues": [f"q{n}" for n in range(101)]}, ("INVALID_OPTION", "queues")),
    ],
)
async def test_what_cannot_be_cleaned_is_refused(
    operator: Caller, past: Past, client: Client, given: dict[str, Any], why: tuple[str, str]
) -> None:
    dead = await past.ended(ago(2 * DAY_S), state=State.DEAD)
    done = (await operator.data(CLEAN, input=given))["jobsClean"]
    error = {"code": why[0], "field": why[1]}
    assert done == {"removedCount": 0, "isComplete": False, "userErrors": [error]}
    assert await left(client.store, dead) == [0]


async def test_a_queue_that_never_had_a_job_cannot_be_cleaned(operator: Caller) -> None:
    done = (await operator.data(CLEAN_QUEUE, input={"name": "nobody", "states": ["DEAD"]}))["queueClean"]
    assert done["userErrors"] == [{"code": "NOT_FOUND", "field": "name"}]


async def test_who_may_do_what(reader: Caller, operator: Caller, client: Client, past: Past) -> None:
    dead = await past.ended(ago(2 * DAY_S), state=State.DEAD)
    for caller in (reader, operator):
        assert len(await policies(caller)) == len(Kind)
        assert (await caller.data(PREVIEW, policy={"kind": "DEAD", "keepFor": "P1D"}))["retentionPreview"]["count"]
        made = (await caller.data(SET, input={"kind": "DEAD", "keepFor": "P1D"}))["retentionSet"]
        removed = (await caller.data(REMOVE, input={"kind": "DEAD"}))["retentionRemove"]
        assert [one["userErrors"][0]["code"] for one in (made, removed)] == ["FORBIDDEN"] * 2
    done = (await reader.data(CLEAN, input={"states": ["DEAD"]}))["jobsClean"]
    assert done["userErrors"][0]["code"] == "FORBIDDEN"
    assert await left(client.store, dead) == [0]
    assert [one.policy for one in await client.store.retention.standing()] == list(SHIPPED.values())
    assert commands.OLDER_S == DAY_S
