"""A search that is bounded says so, and where it goes on."""

from __future__ import annotations

import pytest

from tests.api.caller import Caller
from tests.api.jobs_of import enqueue

PAGE = """
query ($after: Cursor, $before: Cursor, $first: Int, $last: Int, $text: String!) {
  jobs(where: {text: $text}, after: $after, before: $before, first: $first, last: $last) {
    nodes { id }
    pageInfo { isCutShort hasNextPage hasPreviousPage startCursor endCursor }
    totalCount { value precision }
  }
}
"""


async def test_a_search_that_is_bounded_says_so(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [(await enqueue(api))["job"]["id"] for _ in range(5)]
    monkeypatch.setattr("jobs.store.job_search.WINDOW", 3)
    text = "-metadata.colour:red -priority:high"
    first = (await api.data(PAGE, text=text, first=10))["jobs"]
    assert [node["id"] for node in first["nodes"]] == ids[:1:-1]
    assert first["totalCount"] == {"value": 3, "precision": "AT_LEAST"}
    assert (first["pageInfo"]["isCutShort"], first["pageInfo"]["hasNextPage"]) == (True, True)
    rest = (await api.data(PAGE, text=text, first=10, after=first["pageInfo"]["endCursor"]))["jobs"]
    assert [node["id"] for node in rest["nodes"]] == ids[1::-1]
    assert (rest["pageInfo"]["isCutShort"], rest["pageInfo"]["hasNextPage"]) == (False, False)


async def test_a_search_that_finds_nothing_within_its_bounds_goes_on(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await enqueue(api)
    monkeypatch.setattr("jobs.store.job_search.WINDOW", 3)
    for page, way, cursor in (({"first": 10}, "after", "endCursor"), ({"last": 10}, "before", "startCursor")):
        none = (await api.data(PAGE, text="metadata.colour:red", **page))["jobs"]
        assert (none["nodes"], none["pageInfo"]["isCutShort"]) == ([], True)
        assert none["totalCount"] == {"value": 0, "precision": "AT_LEAST"}
        more = {**page, way: none["pageInfo"][cursor]}
        end = (await api.data(PAGE, text="metadata.colour:red", **more))["jobs"]
        assert (end["nodes"], end["pageInfo"]["isCutShort"]) == ([], False)
