"""What a change of the schema breaks for clients of the last release.

Breaking is what graphql-core calls so, except the removal of what the release had deprecated.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    find_breaking_changes,
)


def broken(released: str, present: str) -> list[str]:
    """Return a sentence for each change that breaks clients of the released schema."""
    old = build_schema(released)
    announced = {sentence for named in old.type_map.values() for sentence in _announced(named)}
    changes = [change.description for change in find_breaking_changes(old, build_schema(present))]
    return [sentence for sentence in changes if sentence not in announced]


def _announced(named: GraphQLNamedType) -> Iterator[str]:
    """What graphql-core says of the removal of each part that is deprecated."""
    if isinstance(named, GraphQLEnumType):
        for name, value in named.values.items():
            if value.deprecation_reason is not None:
                yield f"Enum value {named.name}.{name} was removed."
    if isinstance(named, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
        for name, field in named.fields.items():
            if field.deprecation_reason is not None:
                yield f"Field {named.name}.{name} was removed."
    if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in named.fields.items():
            for argument, about in field.args.items():
                if about.deprecation_reason is not None:
                    yield f"Argument {named.name}.{name}({argument}:) was removed."
