"""The quarantine through the API."""

from __future__ import annotations

import pytest

from jobs.client import Client
from jobs.quarantine import Source, unreadable
from tests.api.caller import Caller

LIST = """
query ($after: Cursor) {
  quarantine(first: 2, after: $after) {
    nodes { id source ref reason record at }
    pageInfo { hasNextPage endCursor }
  }
}
"""
REMOVE = """
mutation ($id: ID!) {
  quarantineRemove(input: {id: $id}) { removedId userErrors { code message } }
}
"""


@pytest.fixture(autouse=True)
async def _records(client: Client) -> None:
    await client.store.quarantine.note(
        [unreadable(Source.EVENT, f"1-2-{number}-0", "damaged", "\\xc1") for number in range(3)]
    )


async def test_admins_read_and_remove(api: Caller) -> None:
    page = (await api.data(LIST))["quarantine"]
    assert [node["ref"] for node in page["nodes"]] == ["1-2-2-0", "1-2-1-0"]
    first = page["nodes"][0]
    assert (first["source"], first["reason"], first["record"]) == ("EVENT", "damaged", "\\xc1")
    rest = (await api.data(LIST, after=page["pageInfo"]["endCursor"]))["quarantine"]
    assert ([node["ref"] for node in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["1-2-0-0"], False)
    node = "query ($id: ID!) {node(id: $id) {__typename ... on QuarantineRecord {ref}}}"
    assert (await api.data(node, id=first["id"]))["node"] == {"__typename": "QuarantineRecord", "ref": "1-2-2-0"}
    removed = (await api.data(REMOVE, id=first["id"]))["quarantineRemove"]
    assert removed == {"removedId": first["id"], "userErrors": []}
    assert (await api.data(node, id=first["id"]))["node"] is None
    again = (await api.data(REMOVE, id=first["id"]))["quarantineRemove"]
    assert (again["removedId"], again["userErrors"][0]["code"]) == (None, "NOT_FOUND")


async def test_others_do_not(reader: Caller) -> None:
    answer = (await reader.post(LIST)).json
    assert (answer["data"]["quarantine"], answer["errors"][0]["extensions"]["code"]) == (None, "FORBIDDEN")
    refused = (await reader.data(REMOVE, id="x"))["quarantineRemove"]
    assert refused["userErrors"][0]["code"] in {"FORBIDDEN", "NOT_FOUND"}


async def test_health_counts_them(anonymous: Caller) -> None:
    components = (await anonymous.request("GET", "/readyz")).json["components"]
    assert components["quarantine"] == {"ok": True, "detail": "3 records could not be read; see `quarantine`."}
