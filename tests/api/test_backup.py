"""Backups through the API."""

from __future__ import annotations

from pathlib import Path

from jobs import backup
from jobs.client import Client
from tests.api.caller import Caller

LIST = "query ($n: Int) {backups(first: $n) {archiveId path sizeBytes createdAt tables {table rows} verifiedAt fault}}"


async def test_admins_see_them(api: Caller, client: Client, tmp_path: Path) -> None:
    made = await backup.make(client.settings.database_url, tmp_path)
    await client.store.backups.note(made)
    [shown] = (await api.data(LIST))["backups"]
    assert (shown["archiveId"], shown["path"], shown["sizeBytes"]) == (made.id, made.path, made.size_bytes)
    assert {"table": "epoch", "rows": 1} in shown["tables"]
    assert (shown["verifiedAt"], shown["fault"]) == (None, None)
    await client.store.backups.verified(made.id, made.created_ms, None)
    assert (await api.data(LIST))["backups"][0]["verifiedAt"] == shown["createdAt"]
    await client.store.backups.verified(made.id, made.created_ms + 5, "It is damaged.")
    [shown] = (await api.data(LIST))["backups"]
    assert (shown["verifiedAt"], shown["fault"]) == (shown["createdAt"], "It is damaged.")


async def test_others_do_not(reader: Caller) -> None:
    answer = (await reader.post(LIST)).json
    assert (answer["data"]["backups"], answer["errors"][0]["extensions"]["code"]) == (None, "FORBIDDEN")


async def test_the_number_has_a_bound(api: Caller) -> None:
    for first in (0, 101):
        answer = (await api.post(LIST, {"n": first})).json
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_OPTION"
