"""Clients of the last release go on working."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.compatibility import broken

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "schema.released.graphql"
"""A copy of schema.graphql, made with each release (CONTRIBUTING.md). Before the first one there is none."""


def test_nothing_breaks_that_was_released() -> None:
    present = (ROOT / "schema.graphql").read_text()
    released = RELEASED.read_text() if RELEASED.exists() else present
    assert broken(released, present) == []


@pytest.mark.parametrize(
    ("released", "present"),
    [
        ("type Query { a: Int b: Int }", "type Query { a: Int }"),
        ("type Query { a: Int! }", "type Query { a: Int }"),
        ("type Query { a(x: Int): Int }", "type Query { a(x: Int!): Int }"),
        ("type Query { a(x: Int): Int }", "type Query { a: Int }"),
        ("type Query { a: E } enum E { A B }", "type Query { a: E } enum E { A }"),
        ("type Query { a(i: I): Int } input I { x: Int }", "type Query { a(i: I): Int } input I { x: Int y: Int! }"),
        ("type Query { a: Int b: Int @deprecated }", "type Query { b: Int }"),
    ],
)
def test_what_breaks_clients_is_found(released: str, present: str) -> None:
    assert len(broken(released, present)) == 1


@pytest.mark.parametrize(
    ("released", "present"),
    [
        ("type Query { a: Int b: Int @deprecated }", "type Query { a: Int }"),
        ("type Query { a: Int }", "type Query { a: Int! b: Int }"),
        ("type Query { a(x: Int @deprecated, y: Int): Int }", "type Query { a(y: Int): Int }"),
        ("type Query { a: E } enum E { A B @deprecated }", "type Query { a: E } enum E { A C }"),
        (
            "type Query { a(i: I): Int } input I { x: Int @deprecated y: Int }",
            "type Query { a(i: I): Int } input I { y: Int }",
        ),
    ],
)
def test_what_was_announced_or_added_breaks_nobody(released: str, present: str) -> None:
    assert broken(released, present) == []
