"""Arguments: their types, their published schema, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import jsonschema_rs
import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st

from jobs import Context
from jobs.errors import InvalidArguments
from jobs.task import Registry
from tests.jobs.shapes import Address, Colour, Person, Point, everything


@pytest.fixture
def registry() -> Registry:
    return Registry()


def decode(registry: Registry, function: Any, args: Any) -> dict[str, Any]:
    return registry.add(function).signature.decode(json.dumps(args).encode())


FULL = {
    "person": {"name": "Ada", "born": "1815-12-10", "addresses": [{"street": "x", "colour": "deep blue"}]},
    "when": "2025-01-02T03:04:05Z",
    "ids": ["6f5b0d5e-7c4b-7c9b-8a53-0d2f7a6f9a11"],
    "price": "12.50",
    "colour": 1,
    "wait": "PT5S",
    "note": "n",
    "point": {"x": 3, "y": 4},
    "table": {"b": []},
}


def test_arguments_get_their_types(registry: Registry) -> None:
    args = decode(registry, everything, FULL)
    assert args == {
        "person": Person(name="Ada", born=date(1815, 12, 10), addresses=[Address("x", Colour.DEEP_BLUE)]),
        "when": datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        "ids": [UUID(FULL["ids"][0])],  # type: ignore[index]  # a list of strings
        "price": Decimal("12.50"),
        "colour": Colour.RED,
        "wait": timedelta(seconds=5),
        "note": "n",
        "point": Point(3, 4),
        "table": {"b": []},
    }
    assert isinstance(args["person"].addresses[0], Address)


def test_what_is_not_given_is_left_to_the_functions_defaults(registry: Registry) -> None:
    required = {name: FULL[name] for name in ("person", "when", "ids", "price")}
    assert set(decode(registry, everything, required)) == set(required)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"unknown": 1}, ("args", "unknown")),
        ({"when": "yesterday"}, ("args", "when")),
        ({"person": {"name": "Ada", "addresses": [{"street": 5}]}}, ("args", "person", "addresses", 0, "street")),
        ({"colour": "GREEN"}, ("args", "colour")),
        ({"point": {"x": "east"}}, ("args", "point")),
        ({"ids": ["no"]}, ("args", "ids", 0)),
    ],
)
def test_a_mismatch_names_its_path(registry: Registry, change: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidArguments) as caught:
        decode(registry, everything, {**FULL, **change})
    assert caught.value.path == path


@dataclasses.dataclass
class Parcel:
    weight: int = 0


class Delivery(pydantic.BaseModel):
    to: Parcel


class Depot(typing_extensions.TypedDict):
    parcel: Parcel


def from_a_model_on(delivery: Delivery, parcel: Parcel) -> None: ...


def from_a_model_on_in_a_dict(delivery: Delivery, parcel: Depot) -> None: ...


@pytest.mark.parametrize(
    ("function", "fits", "refused"),
    [
        (from_a_model_on, {}, [{"colour": "red"}]),
        (from_a_model_on_in_a_dict, {"parcel": {}}, [{"parcel": {"colour": "red"}}, {"parcel": {}, "colour": "red"}]),
    ],
)
def test_keys_that_the_worker_refuses_are_refused_by_the_published_schema(
    registry: Registry, function: Any, fits: Any, refused: list[Any]
) -> None:
    # Within a model, a dataclass ignores further keys; elsewhere it does not. It is published once for both.
    schema = jsonschema_rs.Draft202012Validator(registry.add(function).definition.args_schema)
    assert schema.is_valid({"delivery": {"to": {"weight": 1}, "colour": "red"}, "parcel": fits})
    for parcel in refused:
        args = {"delivery": {"to": {}}, "parcel": parcel}
        with pytest.raises(InvalidArguments):
            decode(registry, function, args)
        assert not schema.is_valid(args), parcel


@pytest.mark.parametrize("args", [{}, [], None, 5, "x"])
def test_missing_arguments_and_other_json_are_refused(registry: Registry, args: Any) -> None:
    with pytest.raises(InvalidArguments):
        decode(registry, everything, args)


def test_the_published_schema(registry: Registry) -> None:
    schema = registry.add(everything).definition.args_schema
    properties = schema["properties"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["person", "when", "ids", "price"]
    assert properties["colour"]["default"] == "deep blue"
    assert properties["wait"]["default"] == "PT1M30S"
    assert properties["note"]["default"] is None
    assert properties["point"]["default"] == {"x": 1, "y": 0}
    assert properties["table"]["default"] == {"a": [1]}
    assert properties["person"]["description"] == "who it is"
    assert properties["price"]["description"] == "what it costs"
    assert schema["$defs"]["Colour"]["x-queueql-names"] == ["RED", "DEEP_BLUE"]
    assert schema["$defs"]["Address"]["x-queueql-type"] == f"{Address.__module__}.Address"
    assert "title" not in properties["when"]
    jsonschema_rs.Draft202012Validator(schema).validate(FULL)
    assert not jsonschema_rs.Draft202012Validator(schema).is_valid({**FULL, "unknown": 1})


def test_the_description_is_the_docstring_without_its_parameters(registry: Registry) -> None:
    assert registry.add(everything).definition.description == "Use every type."


def test_the_result_schema_comes_from_the_annotation(registry: Registry) -> None:
    def nothing() -> None: ...

    def unsaid():  # type: ignore[no-untyped-def]  # what this is about
        ...

    result = registry.add(everything).definition.result_schema
    assert result is not None
    assert result["properties"]["name"] == {"type": "string"}
    assert registry.add(nothing).definition.result_schema == {"type": "null"}
    assert registry.add(unsaid).definition.result_schema is None


async def test_the_context_is_no_argument(registry: Registry) -> None:
    async def saq_style(ctx: Any, *, a: int) -> None: ...

    async def annotated(c: Context, a: int) -> None: ...

    def named(context: Any, a: int) -> None: ...

    def without(a: int) -> None: ...

    taken = {f.__name__: registry.add(f).signature for f in (saq_style, annotated, named, without)}
    assert all(list(s.args_schema["properties"]) == ["a"] for s in taken.values())
    assert {name: s.takes_context for name, s in taken.items()} == {
        "saq_style": True, "annotated": True, "named": True, "without": False,
    }  # fmt: skip
    assert {name: s.is_async for name, s in taken.items()} == {
        "saq_style": True, "annotated": True, "named": False, "without": False,
    }  # fmt: skip


def test_parameters_without_annotation_accept_any_json(registry: Registry) -> None:
    async def f(ctx, a, b=None, **rest):  # type: ignore[no-untyped-def]  # what this is about
        ...

    assert decode(registry, f, {"a": [1, {"x": None}], "c": 2}) == {"a": [1, {"x": None}], "c": 2}
    with pytest.raises(InvalidArguments):
        decode(registry, f, {"b": 1})


def test_none_as_a_default_makes_the_parameter_optional(registry: Registry) -> None:
    def f(a: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013  # seen in the wild

    assert decode(registry, f, {"a": None}) == {"a": None}


def test_constraints_are_published_and_checked(registry: Registry) -> None:
    def f(n: Annotated[int, pydantic.Field(ge=1, description="how many")]) -> None: ...

    assert registry.add(f).definition.args_schema["properties"]["n"] == {
        "type": "integer", "minimum": 1, "description": "how many",
    }  # fmt: skip
    with pytest.raises(InvalidArguments):
        decode(registry, f, {"n": 0})


def round_trip(
    *, n: int, text: str, flag: bool, ids: list[UUID], when: datetime, price: Decimal, maybe: float | None
) -> tuple[int, str, bool, list[UUID], datetime, Decimal, float | None]:
    return (n, text, flag, ids, when, price, maybe)


@given(
    st.fixed_dictionaries(
        {
            "n": st.integers(),
            "text": st.text(),
            "flag": st.booleans(),
            "ids": st.lists(st.uuids(), max_size=3),
            "when": st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)),
            "price": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
            "maybe": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        }
    )
)
def test_arguments_survive_the_way_through_json(args: dict[str, Any]) -> None:
    signature = Registry().add(round_trip).signature
    text = pydantic.TypeAdapter(dict[str, Any]).dump_json(args)
    assert signature.decode(text) == args
    jsonschema_rs.Draft202012Validator(signature.args_schema).validate(json.loads(text))
    back = json.loads(signature.encode(round_trip(**args)))
    names = ("n", "text", "flag", "ids", "when", "price", "maybe")
    assert signature.decode(json.dumps(dict(zip(names, back, strict=True))).encode()) == args
