"""Limits of documents: what is too much is refused, and at once."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query, parse

from api.limits import ALIASES_MAX, DEPTH_MAX, Documents, exceeded
from api.schema.base import base_schema


def errors(text: str) -> list[str]:
    return [error.message for error in Documents(base_schema()).prepare(text).errors]


def chain(length: int, copies: int) -> str:
    """Fragments that each spread the next one twice: their expansion is exponential."""
    fragments = "".join(f"fragment F{i} on Job {{id {f'...F{i + 1} ' * copies}}} " for i in range(length))
    return f"{{jobs{{nodes{{...F0}}}}}} {fragments} fragment F{length} on Job {{id}}"


def test_graphiql_may_introspect() -> None:
    full = get_introspection_query(specified_by_url=True, input_value_deprecation=True, schema_description=True)
    assert errors(full) == []


def test_depth() -> None:
    assert list(exceeded(parse("{a" * DEPTH_MAX + "}" * DEPTH_MAX))) == []
    assert list(exceeded(parse("{a" * (DEPTH_MAX + 1) + "}" * (DEPTH_MAX + 1)))) == [
        f"The document is nested more than {DEPTH_MAX} levels deep."
    ]


def test_depth_counts_through_fragments() -> None:
    inner = "{a" * 15 + "}" * 15
    text = f"{{a{{a{{a{{a{{a{{a{{...F}}}}}}}}}}}}}} fragment F on Job {inner}"
    assert list(exceeded(parse(text))) == [f"The document is nested more than {DEPTH_MAX} levels deep."]


def test_aliases() -> None:
    many = " ".join(f"a{i}: __typename" for i in range(ALIASES_MAX + 1))
    assert errors(f"{{{many}}}") == [f"The document has more than {ALIASES_MAX} aliases."]


def test_directives() -> None:
    many = " ".join("__typename @include(if: true)" for _ in range(201))
    assert errors(f"{{{many}}}") == ["The document has more than 200 directives."]


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("{viewer {name}}", 2),
        ("{jobs {nodes {id}}}", 1 + 20 * 2),
        ("{jobs(first: 3) {nodes {id}}}", 1 + 3 * 2),
        ("query ($n: Int) {jobs(first: $n) {...P}} fragment P on JobConnection {nodes {id}}", 1 + 100 * 2),
        ("{jobs(first: 10) {nodes {attempts(last: 5) {nodes {number}}}}}", 1 + 10 * (1 + 1 + 5 * 2)),
        ("query ($w: JobWhere) {jobs(first: 1, where: $w) {nodes {id}}}", 1_001 + 2),
        ("{__schema {types {name}}}", 0),
    ],
)
def test_cost(text: str, cost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert errors(text) == []
    monkeypatch.setattr("api.limits.COST_MAX", cost - 1)
    (message,) = errors(text) if cost else ["cost 0 points"]
    assert f"cost {cost:,} points" in message


def test_many_searches_are_too_dear() -> None:
    many = " ".join(f'a{i}: jobs(where: {{tasks: ["a"]}}) {{totalCount {{value}}}}' for i in range(101))
    (message,) = errors(f"{{{many}}}")
    assert message.startswith("The document may cost 101,")


def test_tokens() -> None:
    assert "tokens" in errors("{" + "a," * 10_001 + "}")[0]


@pytest.mark.parametrize(
    "text",
    [
        chain(60, 2),
        chain(300, 3),
        "{" + "__typename " * 1_000 + "}",
        "{__schema{queryType{" + "name " * 3_000 + "}}}",
        "{a" * 4_000,
        "{" + "a" * 100 + "(x:" + "[" * 3_000,
        "{jobs{nodes{...A}}} fragment A on Job{...B} fragment B on Job{...A}",
    ],
    ids=["doubling", "tripling", "repeated", "introspection", "deep", "list", "cycle"],
)
def test_no_document_takes_long(text: str) -> None:
    begun = time.perf_counter()
    assert errors(text)
    assert time.perf_counter() - begun < 1.0


def test_a_document_is_prepared_once() -> None:
    documents = Documents(base_schema())
    assert documents.prepare("{viewer{id}}") is documents.prepare("{viewer{id}}")
    assert documents.prepare("{nope}") is documents.prepare("{nope}")


def test_the_cache_is_bounded() -> None:
    documents = Documents(base_schema())
    first = documents.prepare("{viewer{id}}")
    for number in range(600):
        documents.prepare(f"{{a{number}}}")
    assert documents.prepare("{viewer{id}}") is not first


def test_no_suggestions() -> None:
    assert errors("{viewr{id}}") == ["Cannot query field 'viewr' on type 'Query'."]
