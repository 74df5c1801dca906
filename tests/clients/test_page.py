"""docs/graphql.md says what is so: its documents fit the schema, and its commands and programs run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from api import body, limits, persisted, websocket
from jobs import where
from jobs.settings import PREFIX, Settings
from tests.clients import node
from tests.system.product import ROOT, TOKEN, Api, Product, until_published

PAGE = (ROOT / "docs" / "graphql.md").read_text(encoding="utf-8")
TASKS = "jobs.tasks.demo"

# The first test installs the packages.
pytestmark = pytest.mark.timeout(300)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("page"), tasks=TASKS) as running:
        yield running


@pytest.fixture
async def api(product: Product) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        api = Api(session, product.url)
        await until_published(api, "demoCountdownEnqueue")
        yield api


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    command = [sys.executable, "-m", "queueql", "schema", "--tasks", TASKS]
    return build_schema(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)


def test_the_documents_fit_the_schema(schema: GraphQLSchema) -> None:
    documents = blocks("graphql")
    assert len(documents) == 5
    for document in documents:
        assert validate(schema, parse(document)) == [], document


async def test_the_documents_are_answered(api: Api) -> None:
    enqueue, _, failed, typed, refused = blocks("graphql")
    variables, shown = (json.loads(text) for text in blocks("json"))
    answer = await api.execute(enqueue, variables)
    assert (answer["demoCountdownEnqueue"]["userErrors"], answer["demoCountdownEnqueue"]["isDuplicate"]) == ([], False)
    assert (await api.execute(enqueue, variables))["demoCountdownEnqueue"]["isDuplicate"] is True
    assert (await api.execute(failed))["jobs"]["nodes"] == []
    assert (await api.execute(typed))["jobs"]["nodes"] == []
    assert {"data": await api.execute(refused)} == shown


async def test_the_commands(api: Api, product: Product) -> None:
    """In one shell, in their order; the first one says where the product is."""
    first, *others = blocks("sh")
    place = f"export URL={product.url}/graphql TOKEN={TOKEN}\n"
    script = "set -eu\n" + re.sub(r"^export .*\n", place, first) + "\n".join(["", *others])
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", script], capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert '{"name":"admin","role":"ADMIN"}' in done.stdout
    assert '"result":"Lift-off!"' in done.stdout
    assert "event: complete" in done.stdout
    assert "errors" not in done.stdout.replace('"userErrors":[]', "")


@pytest.mark.parametrize(("name", "program"), [("js follow.mjs", "node"), ("python follow.py", sys.executable)])
async def test_the_programs(api: Api, product: Product, name: str, program: str) -> None:
    await asyncio.to_thread(node.install)
    (source,) = blocks(name)
    file = node.HERE / "generated" / name.rpartition(" ")[2]  # where its imports are found
    file.parent.mkdir(exist_ok=True)
    file.write_text(source)
    environ = {**os.environ, "URL": f"{product.url}/graphql", "TOKEN": TOKEN}
    process = await asyncio.create_subprocess_exec(program, file, env=environ, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            while True:
                await api.execute('mutation {jobEnqueue(input: {task: "demo_countdown", args: {steps: 1}}) {job {id}}}')
                try:
                    line = await asyncio.wait_for(process.stdout.readline(), 0.5)
                except TimeoutError:
                    continue
                assert re.fullmatch(rb"Job[A-Za-z]+ [0-9a-f-]{36}\n", line), line
                break
    finally:
        process.kill()
        await process.wait()


def test_the_settings_and_limits_that_it_names_exist() -> None:
    for name in set(re.findall(rf"{PREFIX}([A-Z_]+)", PAGE)):
        assert name.lower() in Settings.model_fields, name
    assert f"{limits.DEPTH_MAX} levels, {limits.FIELDS_MAX:,} fields, {limits.ALIASES_MAX} aliases" in PAGE
    assert f"{limits.DIRECTIVES_MAX} directives, {limits.TOKENS_MAX:,} tokens" in PAGE
    assert f"{where.PARTS_MAX} parts, {where.VALUES_MAX} values in a list, {where.DEPTH_MAX} branches" in PAGE
    assert f"{where.TEXT_MAX:,} characters in a text" in PAGE
    assert f"the last {persisted.KEPT_MAX:,} of up to {persisted.LENGTH_MAX:,} characters" in PAGE
    assert f"{websocket.OPERATIONS_MAX} operations at a time" in PAGE
    assert (websocket.FRAME_MAX, body.BODY_MAX) == (64 * 1024, 4 * 1024 * 1024)
