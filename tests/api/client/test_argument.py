from __future__ import annotations

from typing import Any

import pytest
import typer

from api.client.argument import read_args, signature

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {"type": "string", "description": "Whom to write to."},
        "copies": {"type": "integer", "default": 1},
        "share": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "either": {"anyOf": [{"type": "string"}, {"type": "number"}]},
        "size": {"$ref": "#/$defs/Size"},
        "when": {"type": "string", "format": "date-time"},
    },
    "$defs": {"Size": {"type": "string", "enum": ["small", "large"]}},
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("to=ada@example.com", "ada@example.com"), ("to=12345", "12345"), ("to=true", "true"), ('to="a b"', "a b"),
        ("to=a=b", "a=b"), ("to=", ""), ("copies=2", 2), ("copies=two", "two"), ("share=0.5", 0.5),
        ("share=null", None), ("either=1", 1), ("either=one", "one"), ("size=1", "1"),
        ("unknown=[1]", [1]), ("unknown=x", "x"),
    ],
)  # fmt: skip
def test_a_value_is_read_by_the_schema_of_the_task(pair: str, value: object) -> None:
    assert read_args(None, [pair], SCHEMA) == {pair.partition("=")[0]: value}


def test_pairs_win_over_the_object() -> None:
    assert read_args('{"a": 1, "b": 2}', ["b=3"], None) == {"a": 1, "b": 3}


@pytest.mark.parametrize(("args", "pairs"), [("[1]", []), ("{", []), (None, ["name"]), (None, ["=1"])])
def test_what_is_no_argument(args: str | None, pairs: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        read_args(args, pairs, None)


def test_a_schema_that_says_nothing_of_use() -> None:
    assert read_args(None, ["a=1"], {"properties": {"a": True}}) == {"a": 1}
    assert read_args(None, ["a=1"], {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}})


def test_the_arguments_of_a_task_as_a_table() -> None:
    assert signature(SCHEMA) == [
        ("to", "string", "(required)", "Whom to write to."),
        ("copies", "integer", "1", ""),
        ("share", "number | null", "null", ""),
        ("either", "string | number", "null", ""),
        ("size", "small | large", "null", ""),
        ("when", "string (date-time)", "null", ""),
    ]
