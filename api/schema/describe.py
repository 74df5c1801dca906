"""Descriptions: docstrings are their one home, and this walk carries them into the schema.

A type is described by its class, an attribute and an enum value by the string below it, a resolver by
its docstring, and an argument by its line under `Args:` there.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    is_specified_scalar_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

_ARGUMENT = re.compile(r"^(\w+): (.*)$")


def describe(schema: GraphQLSchema) -> None:
    """Fill in every description of the schema from the docstrings of the code that defines it."""
    for named in schema.type_map.values():
        definition = named.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if isinstance(definition, StrawberryObjectDefinition):
            _describe_fields(named, definition)
        elif isinstance(definition, StrawberryEnumDefinition) and isinstance(named, GraphQLEnumType):
            named.description = _text(definition.wrapped_cls.__doc__)
            for value in named.values.values():
                member: Enum = definition.wrapped_cls(value.value)
                value.description = _attributes(definition.wrapped_cls).get(member.name)


def undescribed(schema: GraphQLSchema) -> Iterator[str]:
    """Names of everything in the schema that has no description."""
    for named in schema.type_map.values():
        if named.name.startswith("__") or is_specified_scalar_type(named):
            continue
        if not named.description:
            yield named.name
        if isinstance(named, GraphQLEnumType):
            yield from (f"{named.name}.{name}" for name, value in named.values.items() if not value.description)
        if isinstance(named, GraphQLInputObjectType):
            yield from (f"{named.name}.{name}" for name, field in named.fields.items() if not field.description)
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in named.fields.items():
                if not field.description:
                    yield f"{named.name}.{name}"
                yield from (f"{named.name}.{name}({key})" for key, arg in field.args.items() if not arg.description)


def _describe_fields(named: GraphQLNamedType, definition: StrawberryObjectDefinition) -> None:
    generic = definition.concrete_of.origin if definition.concrete_of else definition.origin
    named.description = _text(definition.origin.__doc__) or _text(generic.__doc__)
    if not isinstance(named, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        return
    for field in named.fields.values():
        source = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        resolver = _resolver(source)
        summary, arguments = _split(inspect.getdoc(resolver) if resolver else None)
        field.description = _inherited(generic, source.python_name) or summary
        for name, argument in getattr(field, "args", {}).items():
            backref = argument.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
            argument.description = arguments.get(backref.python_name, arguments.get(name))


def _resolver(field: StrawberryField) -> object:
    return field.base_resolver.wrapped_func if field.base_resolver else None


def _inherited(cls: type, name: str | None) -> str | None:
    for base in cls.__mro__:
        if name and name in (found := _attributes(base)):
            return found[name]
    return None


@cache
def _attributes(cls: type) -> dict[str, str]:
    """Attribute: the string below it, of one class."""
    if cls.__module__ == "builtins" or cls is Enum:
        return {}
    body = _classes(inspect.getsourcefile(cls) or "").get(cls.__qualname__, [])
    found = {}
    for statement, below in pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[target.id] = _text(str(below.value.value)) or ""
    return found


@cache
def _classes(path: str) -> dict[str, list[ast.stmt]]:
    if not path:
        return {}
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return {node.name: node.body for node in tree.body if isinstance(node, ast.ClassDef)}


def _split(docstring: str | None) -> tuple[str | None, dict[str, str]]:
    """Separate what a resolver does from what its arguments mean."""
    summary, _, tail = (docstring or "").partition("\nArgs:\n")
    arguments: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(tail).splitlines():
        match = _ARGUMENT.match(line)
        if match:
            name, arguments[match[1]] = match[1], match[2]
        elif name and line.strip():
            arguments[name] += " " + line.strip()
    return _text(summary), arguments


def _text(docstring: str | None) -> str | None:
    """One paragraph per paragraph, without the line breaks of the source."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip() or None
