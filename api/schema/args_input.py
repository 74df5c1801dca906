"""Input types of one task, made from the JSON Schema that it was published with.

Objects become input types, enums and literals become enums, lists lists; a date and time, a duration and a
UUID become their scalars, an integer without bounds a BigInt. What GraphQL has no input type for (unions, free
dictionaries, tuples) becomes JSON. The names of a task's types begin with the task's own name, so that types
of the same name in two tasks stay apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLDefaultInput,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLError,
    GraphQLFloat,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInt,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
    get_named_type,
    get_nullable_type,
)

from api.schema.names import NameClash, camel, enum_names, pascal
from api.schema.scalars import write_datetime, write_duration
from jobs.commands.text import shown
from jobs.errors import RequestError

NAMES_KEY = "x-queueql-names"

_INT32 = 2**31
_FORMATS = {"date-time": "DateTime", "duration": "Duration", "uuid": "UUID"}
_KINDS: dict[object, GraphQLInputType] = {
    "string": GraphQLString,
    "boolean": GraphQLBoolean,
    "number": GraphQLFloat,
}


class ArgsInput:
    """The input types of one task. Raises NameClash where two names of it become one in GraphQL.

    `scalars` are the scalars of the schema that the types go into, by name.
    """

    def __init__(self, task: str, schema: Mapping[str, Any], scalars: Mapping[str, GraphQLNamedType]) -> None:
        self._task = task
        self._prefix = pascal(task)
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._scalars: Mapping[str, Any] = scalars
        self._made: dict[str, GraphQLInputObjectType] = {}
        self._open: set[str] = set()
        self.types: dict[str, GraphQLNamedType] = {}
        """Every type that was made, by name."""
        self.args: Any = None
        """The input type of all arguments together; None where the task takes none."""
        if _is_record(schema):
            self.args = self._record(f"{self._prefix}Args", schema, f"Arguments of the task {task}.")
        elif schema.get("additionalProperties"):
            self.args = self._scalars["JSON"]

    def _record(self, name: str, schema: Mapping[str, Any], described: str, key: str = "") -> GraphQLInputObjectType:
        fields: dict[str, GraphQLInputField] = {}
        made = GraphQLInputObjectType(name, lambda: fields, description=described)
        self._claim(made)
        if key:
            self._made[key] = made
            self._open.add(key)
        required = set(schema.get("required", ()))
        for argument, part in schema["properties"].items():
            field_name = camel(argument)
            if field_name in fields:
                raise NameClash(f"{name} has two fields that would both be called {field_name}")
            fields[field_name] = self._field(name, argument, part, required=argument in required)
        self._open.discard(key)
        return made

    def _field(self, owner: str, argument: str, part: Any, *, required: bool) -> GraphQLInputField:
        name = owner.removesuffix("Input").removesuffix("Args") + pascal(argument)
        made, nullable = self._type(name, part)
        facts = part if isinstance(part, dict) else {}
        default = None if required else _default(made, facts.get("default"))
        if not nullable and (required or default):
            made = GraphQLNonNull(made)
        described = str(facts.get("description") or f"The argument {argument}.")
        return GraphQLInputField(made, default=default, description=described, out_name=argument)

    def _type(self, name: str, schema: Any) -> tuple[Any, bool]:
        """Return the type of a part of the schema, and whether it may be null."""
        if not isinstance(schema, dict):
            return self._scalars["JSON"], True
        if "$ref" in schema:
            return self._referred(schema["$ref"])
        if len(schema.get("allOf", ())) == 1:
            return self._type(name, schema["allOf"][0])
        if "enum" in schema or "const" in schema:
            return self._choice(name, schema)
        kind = schema.get("type")
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(kind, list):
            alternatives = [{**schema, "type": one} for one in kind]
        if alternatives:
            others = [one for one in alternatives if not (isinstance(one, dict) and one.get("type") == "null")]
            nullable = len(others) < len(alternatives)
            made, inner = self._type(name, others[0]) if len(others) == 1 else (self._scalars["JSON"], False)
            return made, nullable or inner
        return self._of_kind(name, kind, schema)

    def _of_kind(self, name: str, kind: object, schema: Mapping[str, Any]) -> tuple[Any, bool]:
        if kind == "array" and "prefixItems" not in schema and isinstance(schema.get("items"), dict):
            item, nullable = self._type(f"{name}Item", schema["items"])
            ends = isinstance(item, GraphQLInputObjectType)  # a list of itself can be empty, so it may be non-null
            return GraphQLList(item if nullable and not ends else GraphQLNonNull(item)), False
        if kind == "object" and _is_record(schema):
            described = str(schema.get("description") or f"A part of the arguments of the task {self._task}.")
            return self._record(f"{name}Input", schema, described), False
        if kind == "integer":
            return GraphQLInt if _fits_int(schema) else self._scalars["BigInt"], False
        if kind == "string" and schema.get("format") in _FORMATS:
            return self._scalars[_FORMATS[schema["format"]]], False
        return _KINDS.get(kind, self._scalars["JSON"]), kind in (None, "null")

    def _referred(self, reference: str) -> tuple[Any, bool]:
        key = reference.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        schema = self._definitions.get(key)
        name = f"{self._prefix}{pascal(key)}"
        if not isinstance(schema, dict) or not _is_record(schema):
            return self._named(key, name, schema)
        if key not in self._made:
            described = str(schema.get("description") or f"{key}, in the arguments of the task {self._task}.")
            self._record(f"{name}Input", schema, described, key)
            return self._made[key], False
        # While it is still open it contains itself. A required field would never end, so that one may be null.
        return self._made[key], key in self._open

    def _named(self, key: str, name: str, schema: Any) -> tuple[Any, bool]:
        known = self.types.get(name)
        if known is not None and known.extensions.get("key") == key:
            return known, False
        if key in self._open:
            return self._scalars["JSON"], True
        self._open.add(key)
        made, nullable = self._type(name, schema)
        self._open.discard(key)
        if isinstance(made, GraphQLEnumType) and made.name == name:
            made.extensions["key"] = key
        return made, nullable

    def _choice(self, name: str, schema: Mapping[str, Any]) -> tuple[Any, bool]:
        given = list(schema["enum"]) if "enum" in schema else [schema["const"]]
        values = [value for value in given if value is not None]
        if not values or not all(isinstance(value, str | int | float) for value in values):
            return self._scalars["JSON"], True
        names = enum_names(values, schema.get(NAMES_KEY) if len(values) == len(given) else None)
        made = GraphQLEnumType(
            name,
            {
                known: GraphQLEnumValue(value, description=f"The value {value!r}.")
                for known, value in zip(names, values, strict=True)
            },
            description=str(schema.get("description") or f"A choice in the arguments of the task {self._task}."),
        )
        self._claim(made)
        return made, len(values) < len(given)

    def _claim(self, made: GraphQLNamedType) -> None:
        if made.name in self.types:
            raise NameClash(f"two types of the task {self._task} would both be called {made.name}")
        self.types[made.name] = made


def plain(value: Any) -> Any:
    """Return coerced arguments as JSON has them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return write_datetime(value)
    if isinstance(value, timedelta):
        return write_duration(value)
    return str(value) if isinstance(value, UUID) else value


def renamed(made: Any, error: RequestError) -> tuple[str, list[str]]:
    """Return message and path of a refusal of arguments in the names of their input type."""
    path = shown_path(made, error.path[1:])
    message, there = str(error), error.path
    names = ("args", *(part if isinstance(part, int) else name for part, name in zip(there[1:], path, strict=True)))
    for end in range(len(there), 1, -1):
        message = message.replace(shown(there[:end]), shown(names[:end]))
    return message, ["args", *path]


def shown_path(made: Any, path: tuple[str | int, ...]) -> list[str]:
    """Return the path to an argument in the names of its input type."""
    shown: list[str] = []
    for part in path:
        fields = made.fields if isinstance(made, GraphQLInputObjectType) else {}
        found = next(((name, field) for name, field in fields.items() if field.out_name == part), None)
        shown.append(found[0] if found else str(part))
        inner: Any = found[1].type if found else getattr(made, "of_type", None)
        made = get_nullable_type(inner)
    return shown


def _is_record(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("properties")) and not schema.get("additionalProperties")


def _fits_int(schema: Mapping[str, Any]) -> bool:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    return low is not None and high is not None and low >= -_INT32 and high < _INT32


def _default(made: Any, value: Any) -> GraphQLDefaultInput | None:
    """Return the default as clients would write it; None where there is none, or only the worker can know it."""
    if value is None or not isinstance(get_named_type(made), GraphQLScalarType | GraphQLEnumType):
        return None
    try:
        return GraphQLDefaultInput(value=_written(made, value))
    except (GraphQLError, KeyError, TypeError):
        return None


def _written(made: Any, value: Any) -> Any:
    made = get_nullable_type(made)
    if isinstance(made, GraphQLList):
        return [_written(made.of_type, item) for item in value]
    if isinstance(made, GraphQLEnumType):
        return next(name for name, known in made.values.items() if known.value == value)
    if made.name == "JSON" and isinstance(value, dict | list):
        raise TypeError("graphql-core cannot print it")
    if plain(made.coerce_input_value(value)) != value:
        raise TypeError("it would be stored in another form than where the door fills it in")
    return value
