"""Typed mutations: the input types that are made of signatures, and clashes of names."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, validate_schema
from pydantic import BaseModel, Field

from api.schema import print_sdl
from api.schema.args_input import shown_path
from api.schema.live import build
from api.schema.names import NameClash, camel, enum_names, pascal
from jobs.task import Registry, TaskDefinition
from tests.api.tasks import registry


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Tree(BaseModel):
    parent: Tree | None = None
    children: list[Tree] = []
    twin: Tree


def definition(function: Any, name: str | None = None) -> TaskDefinition:
    registered = Registry()
    registered.add(function)
    (made,) = registered.definitions()
    return msgspec.structs.replace(made, name=name) if name else made


def fields(function: Any, name: str = "t") -> dict[str, str]:
    """The arguments of a task as GraphQL has them, with their defaults."""
    built = build([definition(function, name)])
    assert built.clashes == []
    assert validate_schema(built.schema) == []
    args = built.schema.type_map[f"{pascal(name)}Args"]
    assert isinstance(args, GraphQLInputObjectType)
    shown = {}
    for key, field in args.fields.items():
        default = f" = {field.default.value}" if field.default else ""
        shown[key] = f"{field.type}{default}"
    return shown


def test_plain_types() -> None:
    async def task(  # noqa: PLR0917  # a job's arguments have names
        text: str, number: int, small: Annotated[int, Field(ge=0, le=100)], real: float, flag: bool, anything: Any
    ) -> None: ...

    assert fields(task) == {
        "text": "String!",
        "number": "BigInt!",
        "small": "Int!",
        "real": "Float!",
        "flag": "Boolean!",
        "anything": "JSON",
    }


def test_everything_else() -> None:
    built = build(registry.definitions())
    assert built.mutations == {
        "anything": "anythingEnqueue",
        "noop": "noopEnqueue",
        "send_mail": "sendMailEnqueue",
    }
    args = built.schema.type_map["SendMailArgs"]
    assert isinstance(args, GraphQLInputObjectType)
    assert {name: str(field.type) for name, field in args.fields.items()} == {
        "to": "String!",
        "copies": "BigInt!",
        "colour": "SendMailColour!",
        "cc": "[String!]",
        "address": "SendMailAddressInput",
        "notBefore": "DateTime",
        "patience": "Duration!",
        "campaign": "UUID",
        "speed": "SendMailSpeed!",
        "extra": "JSON",
        "either": "JSON!",
        "factor": "Float!",
    }
    assert args.fields["to"].description == "Whom it goes to."
    address = built.schema.type_map["SendMailAddressInput"]
    assert isinstance(address, GraphQLInputObjectType)
    assert str(address.fields["neighbours"].type) == "[SendMailAddressInput!]"
    speed = built.schema.type_map["SendMailSpeed"]
    assert isinstance(speed, GraphQLEnumType)
    assert {name: value.value for name, value in speed.values.items()} == {"slow": "slow", "VERY_FAST": "very fast"}


def test_defaults() -> None:
    async def task(
        a: str = "x",
        b: int = 2**40,
        c: Size = Size.LARGE,
        d: int | None = None,
        e: list[str] = ["y"],  # noqa: B006  # only read
    ) -> None: ...

    assert fields(task) == {
        "a": "String! = x",
        "b": f"BigInt! = {2**40}",
        "c": "TSize! = LARGE",
        "d": "BigInt",
        "e": "[String!]! = ['y']",
    }


def test_a_type_that_contains_itself() -> None:
    async def task(tree: Tree) -> None: ...

    built = build([definition(task, "t")])
    assert validate_schema(built.schema) == []
    tree = built.schema.type_map["TTreeInput"]
    assert isinstance(tree, GraphQLInputObjectType)
    assert {name: str(field.type) for name, field in tree.fields.items()} == {
        "parent": "TTreeInput",
        "children": "[TTreeInput!]",
        "twin": "TTreeInput",
    }


def test_types_of_the_same_name_in_two_tasks_stay_apart() -> None:
    def one() -> Any:
        @dataclass
        class Addr:
            street: str

        return definition(_taking(Addr), "one")

    def two() -> Any:
        @dataclass
        class Addr:
            zip_code: int

        return definition(_taking(Addr), "two")

    built = build([one(), two()])
    assert built.clashes == []
    assert {"OneAddrInput", "TwoAddrInput"} <= set(built.schema.type_map)


def _taking(kind: Any) -> Any:
    async def task(value: Any) -> None: ...

    task.__annotations__["value"] = kind
    return task


async def _noop() -> None: ...


async def _with_args(to: str) -> None: ...


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["send.mail", "send_mail"], "sendMailEnqueue"),
        (["job"], "jobEnqueue"),
        (["jobs"], "jobsEnqueue"),
    ],
)
def test_a_clash_of_names_leaves_nobody_with_the_wrong_mutation(names: list[str], told: str) -> None:
    good = definition(_noop, "good")
    tasks = [definition(_noop, name) for name in names]
    built = build([*tasks, good])
    assert built.mutations == {"good": "goodEnqueue"}
    assert len(built.clashes) == len(names)
    assert all(told in str(clash) for clash in built.clashes)
    with pytest.raises(NameClash, match=told):
        print_sdl([*tasks, good])


def test_a_clash_of_types_is_a_clash() -> None:
    # The first has the input ABEnqueueInput; so has the second.
    built = build([definition(_with_args, "a.b"), definition(_with_args, "aB")])
    assert len(built.clashes) == 2


def test_a_clash_of_arguments_is_a_clash() -> None:
    async def task(user_id: int, userId: int) -> None: ...  # noqa: N803  # that is the point

    (clash,) = build([definition(task, "t")]).clashes
    assert "userId" in str(clash)


def test_without_arguments_no_input_is_needed() -> None:
    built = build([definition(_noop, "t")])
    assert built.schema.mutation_type
    assert str(built.schema.mutation_type.fields["tEnqueue"].args["input"].type) == "TEnqueueInput"
    assert "TArgs" not in built.schema.type_map


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("send_welcome", "sendWelcome"),
        ("acme.tasks.send-mail", "acmeTasksSendMail"),
        ("HTTPGet", "httpGet"),
        ("URL", "url"),
        ("9lives", "n9lives"),
        ("___", "n"),
        ("alreadyCamel", "alreadyCamel"),
    ],
)
def test_names(name: str, shown: str) -> None:
    assert camel(name) == shown


def test_names_of_enum_values() -> None:
    values = ["ok", "in progress", "in-progress", "true", "__x", "", 1, -1, 1.5, "é"]
    assert enum_names(values, None) == [
        "ok",
        "IN_PROGRESS",
        "IN_PROGRESS_2",
        "TRUE",
        "X",
        "EMPTY",
        "_1",
        "MINUS_1",
        "_1_5",
        "EMPTY_2",
    ]
    assert enum_names(["a b", 2], ["A", "B"]) == ["A", "B"]
    assert enum_names(["a b"], ["true"]) == ["A_B"]


def test_the_path_of_a_fault_is_in_the_names_of_the_input() -> None:
    args = build(registry.definitions()).schema.type_map["SendMailArgs"]
    path = ("address", "neighbours", 0, "house_number")
    assert shown_path(args, path) == ["address", "neighbours", "0", "houseNumber"]
    assert shown_path(args, ("extra", "some_key")) == ["extra", "some_key"]


def test_a_literal_with_null_may_be_null() -> None:
    async def task(a: Literal["x", None], b: Literal["only"], c: Literal["x", 1]) -> None: ...

    assert fields(task) == {"a": "TA", "b": "TB!", "c": "TC!"}


def test_a_signature_that_is_not_an_object_of_ours_becomes_json() -> None:
    async def task(
        a: dict[str, int], b: tuple[int, str], c: int | str, d: list[Any], e: dict[str, Any] | None
    ) -> None: ...

    assert fields(task) == {"a": "JSON!", "b": "JSON!", "c": "JSON!", "d": "[JSON]!", "e": "JSON"}
