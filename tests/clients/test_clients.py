"""GraphQL clients as their users have them: each enqueues, is refused, watches and pages on the started product."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from tests.clients import node
from tests.system.product import ROOT, TOKEN, Api, Product, until_published

TASKS = "jobs.tasks.demo"
JOURNEY_S = 60

# The first test installs the packages.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> Iterator[Product]:
    environ = {"QUEUEQL_DOCUMENTS": str(packages / "generated" / "documents.json")}
    with Product(tmp_path_factory.mktemp("clients"), tasks=TASKS, environ=environ) as running:
        asyncio.run(_until_published(running))
        yield running


async def _until_published(product: Product) -> None:
    async with aiohttp.ClientSession() as session:
        await until_published(Api(session, product.url), "demoCountdownEnqueue")


@pytest.fixture(scope="module")
def packages() -> Path:
    """The npm packages, and what generators made of the schema."""
    node.install()
    generated = node.HERE / "generated"
    generated.mkdir(exist_ok=True)
    printed = subprocess.run(
        [sys.executable, "-m", "queueql", "schema", "--tasks", TASKS], cwd=ROOT, capture_output=True, check=True
    ).stdout
    (generated / "schema.graphql").write_bytes(printed)
    node.run(["sh", "generate.sh"], timeout_s=120)
    trusted = {**named("relay/documents.json"), **named("gql/persisted-documents.json")}
    (generated / "documents.json").write_text(json.dumps(trusted))
    return node.HERE


def named(path: str) -> dict[str, str]:
    """What a generator wrote for the server: documents by name."""
    documents: dict[str, str] = json.loads((node.HERE / "generated" / path).read_bytes())
    return documents


@pytest.mark.parametrize(
    "client", ["urql", "apollo", "apollo-persisted", "relay", "graphql-ws", "graphql-sse", "codegen"]
)
def test_client_of_javascript(client: str, product: Product) -> None:
    seen = said(product, "journey.mjs", client)
    assert [states[-1] for states in seen["states"]] == ["COMPLETED"] * 3


def test_every_reference_audit_of_graphql_over_http(product: Product) -> None:
    outcomes = said(product, "audits.mjs")
    assert len(outcomes) >= 61
    assert [one for one in outcomes if one["status"] != "ok"] == []


async def test_documents_of_code_generator_by_name(product: Product) -> None:
    documents = named("gql/persisted-documents.json")
    assert documents
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for name in documents:
            for prefix in ("", "sha256:"):
                body = {"documentId": prefix + name, "variables": {"id": "x", "input": {"task": "no_such_task"}}}
                async with session.post(f"{product.url}/graphql", json=body) as answer:
                    assert b"PERSISTED" not in await answer.read()


@pytest.mark.parametrize("seconds", [15, pytest.param(300, marks=pytest.mark.long)])
def test_schemathesis_finds_no_fault(product: Product, seconds: int, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--phases", "fuzzing", "--max-time", str(seconds), "--no-shrink", "--checks", "no_fault_of_ours"]
    done = subprocess.run(
        [program, "run", f"{product.url}/graphql", "-H", f"Authorization: Bearer {TOKEN}", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.clients.fuzz_hooks"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* generated, [1-9]\d* passed", done.stdout), done.stdout


def said(product: Product, *script: str) -> Any:
    """Run a script of this folder against the product; return what it printed."""
    environ = {**os.environ, "QUEUEQL_URL": f"{product.url}/graphql", "QUEUEQL_TOKEN": TOKEN}
    return json.loads(node.run(["node", *script], timeout_s=JOURNEY_S, environ=environ))


async def test_gql_of_python(product: Product) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{product.url}/graphql"
    enqueue = gql("mutation { demoCountdownEnqueue(input: {args: {steps: 3, stepS: 0.05}}) { job { id } } }")
    watch = gql("subscription Watch($id: ID!) { job(id: $id) { state result } }")
    async with Client(transport=AIOHTTPTransport(url, headers=headers), fetch_schema_from_transport=True) as session:
        job = (await session.execute(enqueue))["demoCountdownEnqueue"]["job"]
        socket = WebsocketsTransport(url.replace("http", "ws"), headers=headers)
        async with Client(transport=socket) as live:
            watch.variable_values = {"id": job["id"]}
            states = [data["job"]["state"] async for data in live.subscribe(watch)]
        assert states[-1] == "COMPLETED"
        bad = gql('{ jobs(after: "nonsense") { nodes { id } } }')
        with pytest.raises(TransportQueryError, match="cursor"):
            await session.execute(bad)
