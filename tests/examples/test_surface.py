"""Examples are written as a user would write them."""

from __future__ import annotations

import ast
from pathlib import Path

import graphql
import pytest

_EXAMPLES = Path(__file__).parents[2] / "examples"
_USER_SYNC = _EXAMPLES / "user_sync"


@pytest.mark.parametrize("path", sorted(_EXAMPLES.rglob("*.py")), ids=lambda path: str(path.relative_to(_EXAMPLES)))
def test_examples_import_the_public_surface_only(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
    assert not [module for module in imported if module.startswith(("jobs.", "api", "tests"))]


@pytest.mark.parametrize("path", sorted((_USER_SYNC / "operations").glob("*.graphql")), ids=lambda path: path.name)
def test_operations_are_valid_for_the_stand_in(path: Path) -> None:
    schema = graphql.build_schema((_USER_SYNC / "stand_in" / "schema.graphql").read_text(encoding="utf-8"))
    assert graphql.validate(schema, graphql.parse(path.read_text(encoding="utf-8"))) == []
