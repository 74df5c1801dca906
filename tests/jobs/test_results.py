"""Results as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from jobs.signature import Unencodable
from jobs.task import Registry
from tests.jobs.shapes import Address, Measured, Opaque, Person, Point


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, "null"),
        ([1, "ä", {"a": True}], '[1,"ä",{"a":true}]'),
        (Person(name="Ada"), '{"name":"Ada","born":null,"addresses":[]}'),
        (Address("x"), '{"street":"x","colour":1}'),
        (Decimal("1.5"), '"1.5"'),
    ],
)
def test_results_without_annotation(registry: Registry, result: Any, text: str) -> None:
    def f():  # type: ignore[no-untyped-def]  # what this is about
        ...

    assert registry.add(f).signature.encode(result) == text


def returns_floats() -> list[float]:
    return []


def returns_model() -> Measured | None: ...


def returns_point() -> list[Point]:
    return []


def returns_any() -> Any: ...


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (returns_any, float("nan")),
        (returns_any, {"a": [float("inf")]}),
        (returns_any, Opaque()),
        (returns_any, {"a": Opaque()}),
        (returns_any, "\ud800"),
        (returns_any, {"a": 10**400}),
        (returns_any, b"\xff\xfe"),
        (returns_any, Measured(value=float("nan"))),
        (returns_floats, [float("-inf")]),
        (returns_model, Measured(value=float("nan"))),
    ],
)
def test_results_that_json_cannot_carry(registry: Registry, function: Any, result: Any) -> None:
    with pytest.raises(Unencodable):
        registry.add(function).signature.encode(result)


def test_a_result_that_contains_itself(registry: Registry) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Unencodable):
        registry.add(returns_any).signature.encode(endless)


def test_structs_as_results(registry: Registry) -> None:
    assert registry.add(returns_point).signature.encode([Point(1, 2)]) == '[{"x":1,"y":2}]'
