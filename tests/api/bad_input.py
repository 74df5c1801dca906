"""Values that nobody should send, and the places of the schema where they can be put."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
)

from api.schema.node import node_id
from jobs.clock import new_id

SQL = ["' OR 1=1 --", '"; DROP TABLE job; --', "\\'; --", "$1", "?1", "%(x)s", "1) UNION SELECT secret FROM token --"]
PATTERNS = ["%" * 1_000, "%_" * 500, "(a+)+$" * 100, "[" * 1_000, "*" * 1_000, ".*" * 500 + "x", "\\" * 999, "GLOB"]
TEXTS = ["", " ", "\t\n", "nonsense", "a" * 100_000, "\0", "a\0b", "\x7f\x1b[31m", "\u202e", "\ufffe", "😀" * 1_000]
NUMBERS = [
    -1,
    0,
    1,
    101,
    1_000_000,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("-inf"),
]
TIMES = [
    "0000-00-00T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00",
    "2030-02-30T00:00:00Z",
]
SPANS = ["PT99999999999999999999S", "P999999999D", "PT-1S", "P1Y", "P" + "9" * 60 + "D", "PT0.0000001S"]
IDS = [
    new_id(),
    new_id().upper(),
    node_id("Queue", "x"),
    node_id("Worker", "a" * 500),
    node_id("LogLine", "x:" + "9" * 300),
]
CURSORS = ["azE6MQ", "a2swOjE", "====", "djE6" + "OQ" * 200, "k1:1", "MTox", "AAAA" * 100]
SHAPES: list[Any] = [None, True, [], {}, [None], [[]], {"a": {"\0": []}}, ["x"] * 10_000, {"": ""}]


def nested(depth: int) -> Any:
    value: Any = {"tasks": ["x"]}
    for _ in range(depth):
        value = {"and": [value]}
    return value


DEEP = [nested(11), nested(49), nested(50), nested(200)]
FILTERS = [
    "(" * 4_000,
    "not " * 1_000,
    "age:<999999999999999d",
    'error:"',
    "args.a..b:1",
    "a:b:c:d",
    "state:nope",
    "-" * 4_000,
]

BAD: list[Any] = [*SQL, *PATTERNS, *TEXTS, *NUMBERS, *TIMES, *SPANS, *IDS, *CURSORS, *SHAPES, *DEEP, *FILTERS]


@dataclass(frozen=True)
class Spot:
    """A field with arguments, and one place within them."""

    root: str
    field: str
    argument: str
    place: tuple[str | int, ...]
    kind: str
    """Type of the place."""
    document: str
    others: dict[str, Any]
    """Acceptable values of all arguments."""

    def variables(self, value: Any) -> dict[str, Any]:
        """Acceptable arguments, but for the one value."""
        return {**self.others, self.argument: _put(self.others.get(self.argument), self.place, value)}

    def __str__(self) -> str:
        return f"{self.root}.{self.field}({'.'.join(map(str, (self.argument, *self.place)))})"


def _put(whole: Any, place: tuple[str | int, ...], value: Any) -> Any:
    if not place:
        return value
    first, *rest = place
    if isinstance(first, int):
        return [_put(whole[0] if isinstance(whole, list) and whole else None, tuple(rest), value)]
    whole = whole if isinstance(whole, dict) else {}
    return {**whole, first: _put(whole.get(first), tuple(rest), value)}


def spots(schema: GraphQLSchema) -> Iterator[Spot]:
    """Every place of every argument of the root fields; within a type that contains itself, once."""
    for root, kind in (
        ("query", schema.query_type),
        ("mutation", schema.mutation_type),
        ("subscription", schema.subscription_type),
    ):
        assert kind
        for name, field in kind.fields.items():
            others = {key: _fine(one.type) for key, one in field.args.items() if isinstance(one.type, GraphQLNonNull)}
            document = _document(root, name, field)
            for key, argument in field.args.items():
                for place, leaf in _places(argument, frozenset()):
                    yield Spot(root, name, key, place, leaf.name, document, others)


def _document(root: str, name: str, field: GraphQLField) -> str:
    header = ", ".join(f"${key}: {one.type}" for key, one in field.args.items())
    given = ", ".join(f"{key}: ${key}" for key in field.args)
    arguments = f"({given})" if given else ""
    return f"{root} {f'({header})' if header else ''} {{{name}{arguments} {_selection(field)}}}"


def _selection(field: GraphQLField) -> str:
    kind = get_named_type(field.type)
    if not is_composite_type(kind):
        return ""
    has = kind.fields if isinstance(kind, GraphQLObjectType) else {}
    errors = "userErrors {code message field ... on ValidationError {path}}" if "userErrors" in has else ""
    nodes = "nodes {__typename}" if "nodes" in has else ""
    count = (
        "totalCount {value}"
        if "totalCount" in has and is_composite_type(get_named_type(has["totalCount"].type))
        else ""
    )
    return f"{{__typename {errors} {nodes} {count}}}"


def _places(
    node: GraphQLArgument | Any, within: frozenset[str]
) -> Iterator[tuple[tuple[str | int, ...], GraphQLNamedType]]:
    kind, place = node.type, ()
    leaf = get_named_type(kind)
    yield place, leaf
    inner: tuple[str | int, ...] = (0,) if is_list_type(kind.of_type if is_non_null_type(kind) else kind) else ()
    if inner:
        yield inner, leaf
    if isinstance(leaf, GraphQLInputObjectType) and leaf.name not in within:
        for name, field in leaf.fields.items():
            for rest, end in _places(field, within | {leaf.name}):
                yield (*inner, name, *rest), end


def _fine(kind: Any) -> Any:
    """An acceptable value of a type."""
    kind = kind.of_type if is_non_null_type(kind) else kind
    if is_list_type(kind):
        return [_fine(kind.of_type)]
    if isinstance(kind, GraphQLInputObjectType):
        return {name: _fine(one.type) for name, one in kind.fields.items() if is_non_null_type(one.type)}
    if is_enum_type(kind):
        return next(iter(kind.values))
    samples = {"Int": 1, "Float": 1.0, "Boolean": True, "JSON": {}, "BigInt": "1", "ID": IDS[0], "Duration": "PT1S"}
    return samples.get(kind.name, "x")
