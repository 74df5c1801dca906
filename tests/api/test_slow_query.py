"""Slow statements through the API."""

from __future__ import annotations

import pytest

from jobs.client import Client
from tests.api.caller import Caller

LIST = "{slowQueries {fingerprint sql count total worst worstAt lastAt process}}"
CLEAR = """
mutation ($fingerprint: String) {
  slowQueriesClear(input: {fingerprint: $fingerprint}) { cleared userErrors { code field } }
}
"""


async def test_admins_read_and_clear(api: Caller, client: Client) -> None:
    client.store.slow.notice("SELECT 'fast'", 1_500.0)
    client.store.slow.notice("SELECT 'slow'", 7_000.0)
    client.store.slow.notice("SELECT 'fast'", 2_500.0)
    await client.store.slow.flush()
    found = (await api.data(LIST))["slowQueries"]
    shown = [(one["sql"], one["count"], one["total"], one["worst"]) for one in found]
    assert shown[:2] == [("SELECT 'slow'", 1, "PT7S", "PT7S"), ("SELECT 'fast'", 2, "PT4S", "PT2.5S")]
    first = found[0]["fingerprint"]
    for cleared in (1, 0):
        assert (await api.data(CLEAR, fingerprint=first))["slowQueriesClear"] == {"cleared": cleared, "userErrors": []}
    assert (await api.data(LIST))["slowQueries"][0]["sql"] == "SELECT 'fast'"
    assert (await api.data(CLEAR))["slowQueriesClear"] == {"cleared": len(found) - 1, "userErrors": []}
    assert (await api.data(LIST))["slowQueries"] == []


@pytest.mark.parametrize("fingerprint", ["", "a\0b"])
async def test_no_statement_is_meant_by_what_no_fingerprint_is(api: Caller, client: Client, fingerprint: str) -> None:
    client.store.slow.notice("SELECT 'slow'", 7_000.0)
    await client.store.slow.flush()
    refused = (await api.data(CLEAR, fingerprint=fingerprint))["slowQueriesClear"]
    assert (refused["cleared"], refused["userErrors"][0]["code"]) == (None, "INVALID_OPTION")
    assert refused["userErrors"][0]["field"] == "fingerprint"
    assert len(await client.store.slow.worst()) >= 1


async def test_others_do_not(reader: Caller, client: Client) -> None:
    client.store.slow.notice("SELECT 'slow'", 7_000.0)
    await client.store.slow.flush()
    answer = (await reader.post(LIST)).json
    assert (answer["data"]["slowQueries"], answer["errors"][0]["extensions"]["code"]) == (None, "FORBIDDEN")
    refused = (await reader.data(CLEAR))["slowQueriesClear"]
    assert (refused["cleared"], refused["userErrors"][0]["code"]) == (None, "FORBIDDEN")
    assert len(await client.store.slow.worst()) >= 1
