"""JSON Schema as QueueQL publishes it: with the Python names of types, and msgspec Structs beside pydantic's types."""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pydantic
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

TYPE_KEY = "x-queueql-type"
"""Module and name of the Python type, so that equally named types are told apart."""
NAMES_KEY = "x-queueql-names"
"""Names of an enum's members, in the order of its values."""


class JsonSchema(GenerateJsonSchema):
    """Pydantic's generator, without made-up titles and with the names of Python's types."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave fields untitled: their names say the same."""
        return False

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Find the types that take no further keys, then generate."""
        self._closed = set(_closed(schema)) if mode == "validation" else set()
        return super().generate(schema, mode)

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Name the model."""
        return _named(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Name the dataclass."""
        return self._close(_named(super().dataclass_schema(schema), schema["cls"]), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """Say whether the TypedDict takes further keys."""
        return self._close(super().typed_dict_schema(schema), schema.get("cls"))

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Name the enum and its members."""
        named = _named(super().enum_schema(schema), schema["cls"])
        named[NAMES_KEY] = [member.name for member in schema["members"]]
        return named

    def _close(self, schema: JsonSchemaValue, cls: type[Any] | None) -> JsonSchemaValue:
        # Within a model such a type may take further keys, and elsewhere not, but it is published once: as the
        # stricter one, so that nothing is accepted that the worker refuses.
        return {**schema, "additionalProperties": False} if cls in self._closed else schema


def _closed(schema: Any) -> Iterator[type[Any]]:
    """Return the dataclasses and TypedDicts that refuse further keys in at least one place."""
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from _closed(part)
    elif isinstance(schema, dict):
        config = schema.get("config") or {}
        extra = schema.get("extra_behavior") or config.get("extra_fields_behavior")
        if schema.get("type") in ("dataclass", "typed-dict") and extra == "forbid" and schema.get("cls"):
            yield schema["cls"]
        for part in schema.values():
            yield from _closed(part)


def _named(schema: JsonSchemaValue, cls: type[Any]) -> JsonSchemaValue:
    schema[TYPE_KEY] = f"{cls.__module__}.{cls.__qualname__}"
    if issubclass(cls, enum.Enum) and schema.get("description") == enum.Enum.__doc__:
        del schema["description"]
    return schema


class _MsgspecType:
    """Lets pydantic read and write a type that contains msgspec Structs, by handing it over to msgspec whole."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(_write)
        )

    def _read(self, value: Any) -> Any:
        try:
            return msgspec.convert(value, self.kind)
        except msgspec.ValidationError as error:
            raise PydanticCustomError("msgspec", "{reason}", {"reason": str(error)}) from None

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # Inlined where it is used: pydantic keeps the only table of definitions.
        (published,), definitions = msgspec.json.schema_components([self.kind], ref_template="{name}")
        return typing.cast("JsonSchemaValue", _inline(published, definitions, ()))


def _write(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _inline(schema: Any, definitions: dict[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_inline(part, definitions, above) for part in schema]
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref")
    if name in above:
        return {"type": "object"}  # a type that contains itself: the worker checks what is below
    if name is not None:
        return _inline(definitions[name], definitions, (*above, name))
    return {key: _inline(part, definitions, above) for key, part in schema.items()}


def adapt_structs(kind: Any) -> Any:
    """Return the annotation as pydantic can use it; the same one where it contains no msgspec Struct."""
    return typing.Annotated[Any, _MsgspecType(kind)] if _has_struct(kind) else kind


def _has_struct(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return True
    return any(_has_struct(part) for part in typing.get_args(kind) if not isinstance(part, str | pydantic.BaseModel))


_SECTION = re.compile(r"^(Args|Arguments|Parameters):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^ {1,4}(\w+)(?:\s*\([^)]*\))?:\s*(.+)$")
_FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+):\s*(.+)$", re.MULTILINE)


def describe_parameters(doc: str) -> dict[str, str]:
    """Read what a docstring says of each parameter, in the style of Google ("Args:") or Sphinx (":param x:")."""
    found = {name: text.strip() for name, text in _FIELD.findall(doc)}
    section = _SECTION.search(doc)
    if not section:
        return found
    last = ""
    for line in doc[section.end() :].splitlines():
        entry = _ENTRY.match(line)
        if entry:
            last = entry.group(1)
            found[last] = entry.group(2).strip()
        elif line.startswith("        ") and last:
            found[last] += " " + line.strip()
        elif line.strip() and not line.startswith(" "):
            break
    return found


def summary(doc: str) -> str:
    """Return a docstring without the part that describes the parameters."""
    section = _SECTION.search(doc)
    text = doc[: section.start()] if section else doc
    return _FIELD.sub("", text).strip()
