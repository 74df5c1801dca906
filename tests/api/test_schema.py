"""The schema as a document: fresh, described, and true to its conventions."""

from __future__ import annotations

import re
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    is_specified_scalar_type,
)

from api.schema import print_sdl
from api.schema.base import base_schema
from api.schema.describe import undescribed
from api.schema.error import UserErrorCode
from api.schema.event import TYPES
from api.schema.live import build
from jobs import errors, event
from tests.api.tasks import registry

ROOT = Path(__file__).parents[2]
OF_THE_IMPLEMENTATION = re.compile(r"redis|valkey|\bsaq\b|\blua\b|sqlite|postgres|tortoise", re.IGNORECASE)
OF_HEALTH = re.compile(
    r"^(interface HealthFigures|enum HealthMetric"
    r"|type (HealthSnapshot|SystemHealth|CollectorFault|DatabaseFigures|RedisFigures))\b",
    re.MULTILINE,
)
"""What operators are shown of the parts that the system is made of."""


def test_the_printed_schema_is_that_of_the_code() -> None:
    printed = (ROOT / "schema.graphql").read_text()
    assert printed == print_sdl() + "\n", "schema.graphql is stale: `queueql schema > schema.graphql`"


def test_everything_is_described() -> None:
    assert list(undescribed(base_schema())) == []
    assert list(undescribed(build(registry.definitions()).schema)) == []


def test_the_schema_does_not_speak_of_the_implementation() -> None:
    blocks = re.split(r"\n\n(?=\"\"\"|[a-z])", print_sdl())
    assert len(blocks) > 100
    others = [block for block in blocks if not OF_HEALTH.search(block)]
    assert len(blocks) - len(others) == 7
    assert [block for block in others if OF_THE_IMPLEMENTATION.search(block)] == []


def test_enum_values_are_in_capitals_and_scalars_say_where_they_are_specified() -> None:
    for named in base_schema().type_map.values():
        if isinstance(named, GraphQLEnumType) and not named.name.startswith("__"):
            assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in named.values), named.name
        if isinstance(named, GraphQLScalarType) and not is_specified_scalar_type(named):
            assert named.specified_by_url, named.name


def test_root_fields_and_payload_objects_are_nullable() -> None:
    schema = base_schema()
    for root in (schema.query_type, schema.mutation_type):
        assert root
        assert [name for name, field in root.fields.items() if isinstance(field.type, GraphQLNonNull)] == []
    payload = schema.type_map["JobEnqueuePayload"]
    assert isinstance(payload, GraphQLObjectType)
    assert {name: str(field.type) for name, field in payload.fields.items()} == {
        "job": "Job",
        "isDuplicate": "Boolean!",
        "userErrors": "[UserError!]!",
    }


def test_mutations_take_one_input() -> None:
    root = base_schema().mutation_type
    assert root
    for name, field in root.fields.items():
        assert list(field.args) == ["input"], name
        assert str(field.type) == f"{name[0].upper()}{name[1:]}Payload"


def test_every_refusal_has_a_code_in_the_schema() -> None:
    def codes(kind: type[errors.RequestError]) -> set[str]:
        return {kind.code}.union(*(codes(one) for one in kind.__subclasses__()))

    assert codes(errors.RequestError) == set(UserErrorCode.__members__)


def test_every_event_has_a_type() -> None:
    assert set(TYPES) == set(event.Event.__subclasses__())


def test_null_defaults_are_not_printed() -> None:
    for named in base_schema().type_map.values():
        if isinstance(named, GraphQLInputObjectType):
            assert [name for name, field in named.fields.items() if field.default_value is None] == []
    assert "= null" not in print_sdl()
