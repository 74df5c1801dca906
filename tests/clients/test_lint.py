"""The printed schema before the linters of the GraphQL world."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.clients import node
from tests.system.product import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("linter", [["graphql-schema-linter"], ["eslint", "--no-ignore", "--max-warnings", "0"]])
def test_linters_find_nothing(linter: list[str]) -> None:
    node.install()
    generated = node.HERE / "generated"
    generated.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "queueql", "schema", "--tasks", "tests.clients.tasks"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    (generated / "linted.graphql").write_bytes(printed)
    node.run([f"node_modules/.bin/{linter[0]}", *linter[1:], "generated/linted.graphql"], timeout_s=120)
