"""Fragments over several types of events can be asked for together: their fields do not contradict each other."""

from __future__ import annotations

from collections import defaultdict

from graphql import GraphQLInterfaceType

from api.schema.base import base_schema


def test_fields_of_one_name_have_one_type_in_all_events() -> None:
    schema = base_schema()
    event = schema.type_map["JobEvent"]
    assert isinstance(event, GraphQLInterfaceType)
    types = defaultdict(set)
    for kind in schema.get_implementations(event).objects:
        for name, field in kind.fields.items():
            types[name].add(str(field.type))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
