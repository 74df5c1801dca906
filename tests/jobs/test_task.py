"""Tasks, their options and their registry."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobs import Durability, Priority, fixed, task
from jobs.errors import TaskInvalid
from jobs.task import Options, Registry, default_registry
from tests.jobs.shapes import Address, Opaque, everything


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_class_is_no_task(registry: Registry) -> None:
    with pytest.raises(TaskInvalid, match=r"^Task Address: a class cannot be a task; write a function that uses it\.$"):
        registry.add(Address)


def positional_only(a: int, /) -> None: ...
def starred(*args: int) -> None: ...
def opaque(a: Opaque) -> None: ...
def opaque_result() -> Opaque:
    return Opaque()


def opaque_default(a: Any = Opaque()) -> None: ...  # noqa: B008  # what this is about
def nan_default(a: float = float("nan")) -> None: ...
def wrong_default(a: int = "x") -> None: ...  # type: ignore[assignment]  # what this is about
def unresolvable(a: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037  # what this is about
def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (positional_only, "positional-only"),
        (starred, "any number of values"),
        (opaque, "cannot be read from JSON"),
        (opaque_result, "cannot be written as JSON"),
        (opaque_default, "cannot be written as JSON"),
        (nan_default, "cannot be written as JSON"),
        (wrong_default, "does not fit its type"),
        (unresolvable, "cannot be resolved"),
        (generator, "generator"),
    ],
)
def test_what_cannot_be_published_is_refused(registry: Registry, function: Any, says: str) -> None:
    with pytest.raises(TaskInvalid, match=says) as caught:
        registry.add(function)
    assert function.__name__ in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a b"},
        {"queue": "a:b"},
        {"queue": "x" * 129},
        {"max_attempts": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"isolation": "vm"},
    ],
)
def test_options_are_checked_where_they_are_written(registry: Registry, options: dict[str, Any]) -> None:
    with pytest.raises(TaskInvalid):
        task(**options, registry=registry)(starred)


def test_the_decorator_keeps_the_function_callable(registry: Registry) -> None:
    @task(
        name="adding", queue="sums", max_attempts=7, backoff=fixed(9), timeout=5, priority=Priority.HIGH,
        durability=Durability.MEMORY, registry=registry,
    )  # fmt: skip
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, b=2) == 3
    assert add.__doc__ == "Add."
    definition = registry.definitions()[0]
    assert (definition.name, definition.queue, definition.max_attempts) == ("adding", "sums", 7)
    assert (definition.backoff, definition.timeout_s) == (fixed(9), 5.0)
    assert (definition.priority, definition.durability) == (Priority.HIGH, Durability.MEMORY)
    assert registry.queues() == ["default", "sums"]


def test_two_tasks_of_one_name_are_refused(registry: Registry) -> None:
    def twin() -> None: ...

    registry.add(twin)
    registry.add(twin)
    assert len(registry) == 1
    with pytest.raises(TaskInvalid, match="same name"):
        registry.add(everything, Options(name="twin"))


def test_a_bare_decorator_uses_the_default_registry() -> None:
    @task
    def probe_of_the_default_registry() -> None: ...

    assert default_registry.get("probe_of_the_default_registry") is probe_of_the_default_registry


def test_definitions_travel_as_json_and_keep_their_hash(registry: Registry) -> None:
    definition = registry.add(everything).definition
    copy = msgspec.json.decode(msgspec.json.encode(definition), type=type(definition))
    assert copy == definition
    assert copy.hash() == definition.hash()
    assert msgspec.structs.replace(definition, queue="other").hash() != definition.hash()
