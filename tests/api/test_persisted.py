"""Documents that clients name instead of sending them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from api import persisted
from api.execution.operation import Rejected
from api.persisted import KEPT_MAX, LENGTH_MAX, PersistedDocuments
from jobs.errors import SettingInvalid
from tests.api.caller import GRAPHQL, Answer, Caller
from tests.api.conftest import Serve
from tests.factories import make_settings

QUERY = "query A($id: ID!) {node(id: $id) {id}}"
NOTHING = {"data": {"node": None}}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def apollo(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}


async def post(api: Caller, **body: Any) -> Answer:
    headers = {"accept": GRAPHQL, "content-type": "application/json"}
    return await api.request("POST", headers=headers, data=json.dumps({"variables": {"id": "x"}, **body}))


def code(answer: Answer) -> str:
    (error,) = answer.json["errors"]
    return str(error["extensions"]["code"])


async def test_a_document_is_known_by_its_hash_once_it_was_sent(api: Caller) -> None:
    answer = await post(api, extensions=apollo(QUERY))
    assert (answer.status, code(answer)) == (400, "PERSISTED_QUERY_NOT_FOUND")
    assert answer.json["errors"][0]["message"] == "PersistedQueryNotFound"  # clients compare it
    assert (await post(api, query=QUERY, extensions=apollo(QUERY))).json == NOTHING
    assert (await post(api, extensions=apollo(QUERY))).json == NOTHING
    assert (await post(api, documentId=f"sha256:{sha256(QUERY)}")).json == NOTHING
    assert (await post(api, documentId=f"sha256:{sha256(QUERY)}", query="")).json == NOTHING


async def test_get_names_documents_too(api: Caller) -> None:
    variables = json.dumps({"id": "x"})
    name = {"documentId": f"sha256:{sha256(QUERY)}", "variables": variables}
    assert (await api.request("GET", params=name)).json["errors"][0]["extensions"]["code"] == persisted.NOT_FOUND
    assert (await api.request("GET", params={**name, "query": QUERY})).json == NOTHING
    assert (await api.request("GET", params=name)).json == NOTHING
    params = {"extensions": json.dumps(apollo(QUERY)), "variables": variables}
    assert (await api.request("GET", params=params)).json == NOTHING
    of_a_browser = {"accept": "text/html,application/json"}
    assert (await api.request("GET", headers=of_a_browser, params=name)).json == NOTHING


async def test_get_never_changes_anything_by_name_either(api: Caller) -> None:
    mutation = "mutation {noopEnqueue {job {id}}}"
    assert (await post(api, query=mutation, extensions=apollo(mutation))).status == 200
    answer = await api.request("GET", params={"documentId": f"sha256:{sha256(mutation)}"})
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_a_socket_names_documents_too(api: Caller) -> None:
    async with api.socket() as socket:
        await socket.send(id="1", type="subscribe", payload={"extensions": apollo(QUERY)})
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == persisted.NOT_FOUND
        payload = {"query": QUERY, "variables": {"id": "x"}, "extensions": apollo(QUERY)}
        for sent in (payload, {**payload, "query": None}):
            await socket.send(id="2", type="subscribe", payload=sent)
            assert await socket.next("2") == NOTHING
            assert (await socket.receive())["type"] == "complete"


async def test_names_that_are_none(api: Caller) -> None:
    wrong: list[dict[str, Any]] = [
        {"query": QUERY, "extensions": apollo("{other}")},
        {"query": QUERY, "documentId": "mine"},
        {"query": QUERY, "documentId": sha256(QUERY).upper()},
        {"documentId": 1},
        {"documentId": ""},
        {"documentId": []},
        {"documentId": "\ud800"},
        {"query": "{__typename} # \ud800", "documentId": "x"},
        {"extensions": {"persistedQuery": "x"}},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": sha256(QUERY)}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": {}}}},
    ]
    for body in wrong:
        answer = await post(api, **body)
        assert (answer.status, code(answer)[:16]) == (400, "PERSISTED_QUERY_"), body
    assert (await post(api, documentId=None, query=QUERY, extensions={"persistedQuery": None})).json == NOTHING


def test_so_many_are_kept_the_latest_used() -> None:
    def named(number: int) -> dict[str, Any]:
        return {"documentId": f"sha256:{sha256(str(number))}"}

    documents = PersistedDocuments()
    for number in range(KEPT_MAX):
        documents.complete({**named(number), "query": str(number)})
    documents.complete(named(0))
    documents.complete({**named(KEPT_MAX), "query": str(KEPT_MAX)})
    assert documents.complete(named(0)) == {**named(0), "query": "0"}
    with pytest.raises(Rejected, match="PersistedQueryNotFound"):
        documents.complete(named(1))


def test_a_long_document_is_not_kept() -> None:
    documents, text = PersistedDocuments(), "#" * (LENGTH_MAX + 1)
    documents.complete({"query": text, "documentId": sha256(text)})
    with pytest.raises(Rejected, match="PersistedQueryNotFound"):
        documents.complete({"documentId": sha256(text)})


async def test_trusted_documents(serve: Serve, tmp_path: Path) -> None:
    """By the names in the file, whatever their form, and by their SHA-256."""
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({"5d41402abc4b2a76b9719d911017c592": QUERY}))
    for only in (False, True):
        api = await serve(documents=file, documents_only=only)
        for name in ("5d41402abc4b2a76b9719d911017c592", sha256(QUERY), f"sha256:{sha256(QUERY)}"):
            assert (await post(api, documentId=name)).json == NOTHING
        assert (await post(api, extensions=apollo(QUERY))).json == NOTHING
        assert (await post(api, query=QUERY)).json == NOTHING
        assert (await post(api, query=QUERY, extensions=apollo(QUERY))).json == NOTHING
        unknown = await post(api, documentId="other")
        assert code(unknown) == ("DOCUMENT_NOT_TRUSTED" if only else "PERSISTED_QUERY_NOT_FOUND")


async def test_where_only_trusted_documents_run(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    file.write_text(json.dumps({"a": QUERY}))
    api = await serve(documents=file, documents_only=True)
    other = "{__typename}"
    for body in ({"query": other}, {"query": other, "extensions": apollo(other)}, {"extensions": apollo(other)}, {}):
        answer = await post(api, **body)
        assert (answer.status, code(answer)) == (400, "DOCUMENT_NOT_TRUSTED"), body
    async with api.socket() as socket:
        await socket.subscribe("1", other)
        assert (await socket.receive())["payload"][0]["extensions"] == {"code": "DOCUMENT_NOT_TRUSTED"}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="No such file"):
        PersistedDocuments.load(make_settings(documents=tmp_path / "nope.json"))
    for text in (b"", b"[]", b'{"a": 1}', b"\xff"):
        (tmp_path / "bad.json").write_bytes(text)
        with pytest.raises(SettingInvalid, match=r"bad\.json must be a JSON object"):
            PersistedDocuments.load(make_settings(documents=tmp_path / "bad.json"))
    with pytest.raises(SettingInvalid, match="needs QUEUEQL_DOCUMENTS"):
        PersistedDocuments.load(make_settings(documents_only=True))
