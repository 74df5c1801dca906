"""Where variables do not fit: what graphql-core says in words, as a path that programs can follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    is_input_type,
    type_from_ast,
    validate_input_value,
)

Place = list[str | int]
"""Name of a variable, then the way within its value."""


class _Enough(Exception):
    """So many places are asked for, and no more."""


def misfits(
    schema: GraphQLSchema, definitions: Iterable[VariableDefinitionNode], given: Mapping[str, Any], limit: int
) -> list[Place]:
    """Return the first places of the variables that do not fit their types, in the order of graphql-core's errors."""
    places: list[Place] = []
    for node in definitions:
        name = node.variable.name.value
        kind = type_from_ast(schema, node.type)
        value = given.get(name, Undefined)
        if not is_input_type(kind) or (value is Undefined and node.default_value):
            continue

        def note(_error: GraphQLError, path: list[str | int], name: str = name) -> None:
            if len(places) == limit:
                raise _Enough
            places.append([name, *path])

        try:
            validate_input_value(value, kind, note, hide_suggestions=True)
        except _Enough:
            break
        except RecursionError:  # there is one error then, about all of it
            return []
    return places


def deepest(given: Mapping[str, Any]) -> Place:
    """Return the variable whose value is nested most deeply."""
    waiting: list[tuple[str, object]] = list(given.items())
    name = ""
    while waiting:
        name = waiting[0][0]
        waiting = [(name, part) for name, value in waiting for part in _parts(value)]
    return [name]


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
