"""What the command line asks is what schema.graphql has: a change of the schema that it does not follow shows here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, build_schema, parse, validate

from api.client import document, retention, retention_document, statistics_document
from api.client.option import FINAL, Level, Priority, State
from api.client.watch import EXIT_CODES

SCHEMA = build_schema((Path(__file__).parents[3] / "schema.graphql").read_text(encoding="utf-8"))
ALL = vars(document) | vars(retention_document) | vars(statistics_document)
DOCUMENTS = {name: text for name, text in ALL.items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_valid(name: str) -> None:
    assert validate(SCHEMA, parse(DOCUMENTS[name])) == []


@pytest.mark.parametrize(
    ("named", "values"),
    [("JobState", State), ("Priority", Priority), ("LogLevel", Level), ("RetentionKind", retention.Kind)],
)
def test_the_values_of_an_option_are_those_of_the_schema(named: str, values: type[StrEnum]) -> None:
    enum = SCHEMA.type_map[named]
    assert isinstance(enum, GraphQLEnumType)
    assert set(enum.values) == set(values)


def test_every_final_state_has_an_exit_code() -> None:
    assert set(EXIT_CODES) == FINAL


def test_every_type_of_event_is_asked_for() -> None:
    events = {kind.name for kind in SCHEMA.get_implementations(SCHEMA.type_map["JobEvent"]).objects}  # type: ignore[arg-type]  # it is an interface
    asked = {name for name in events if f"... on {name} " in document.EVENT_LIVE}
    assert events - asked == {"JobCancelRequested", "JobDue"}  # they have nothing of their own
