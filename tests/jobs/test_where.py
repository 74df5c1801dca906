"""The filter: what it refuses, and how people type it."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InvalidOption
from jobs.job import Priority, Reason, State
from jobs.where import DEPTH_MAX, NUMBER_MAX, JobWhere, PathWhere, TimeRange, check
from jobs.where_fit import holds
from jobs.where_text import parse

NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def path(text: str, *values: object) -> PathWhere:
    return PathWhere(path=text, equals=values)  # type: ignore[arg-type]  # ends of JSON


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", JobWhere()),
        ("state:dead", JobWhere(states=(State.DEAD,))),
        ("state:dead,CANCELLED task:a", JobWhere(states=(State.DEAD, State.CANCELLED), tasks=("a",))),
        ("priority:high reason:poison", JobWhere(priorities=(Priority.HIGH,), reasons=(Reason.POISON,))),
        ('queue:mail error:"Time out"', JobWhere(queues=("mail",), error="Time out")),
        ('error:"say \\"hi\\""', JobWhere(error='say "hi"')),
        ("args.user.id:42", JobWhere(args=(path("user.id", 42, "42"),))),
        ('args.user.id:"42"', JobWhere(args=(path("user.id", "42"),))),
        ("metadata.on:true", JobWhere(metadata=(path("on", True, "true"),))),
        ("args.items[0]:*", JobWhere(args=(PathWhere(path="items[0]", exists=True),))),
        ("args.name:~ell", JobWhere(args=(PathWhere(path="name", contains="ell"),))),
        ("args.n:>=1.5", JobWhere(args=(PathWhere(path="n", at_least=1.5),))),
        (
            "args.n:<3",
            JobWhere(args=(PathWhere(path="n", at_most=3),), none=(JobWhere(args=(path("n", 3),)),)),
        ),
        ("age:<1h", JobWhere(created=TimeRange(from_ms=NOW_MS - HOUR_MS + 1))),
        ("age:>1d", JobWhere(created=TimeRange(until_ms=NOW_MS - DAY_MS))),
        ("created:1970-01-02", JobWhere(created=TimeRange(from_ms=DAY_MS, until_ms=2 * DAY_MS))),
        ("finished:1970-01-02..1970-01-03", JobWhere(finished=TimeRange(from_ms=DAY_MS, until_ms=3 * DAY_MS))),
        ("started:>1970-01-02T00:00Z", JobWhere(started=TimeRange(from_ms=DAY_MS + 1))),
        ("tag:a tag:b", JobWhere(tags=("a",), every=(JobWhere(tags=("b",)),))),
        ("-state:dead", JobWhere(none=(JobWhere(states=(State.DEAD,)),))),
        ("NOT (task:a OR task:b)", JobWhere(none=(JobWhere(some=(JobWhere(tasks=("a",)), JobWhere(tasks=("b",)))),))),
        ("task:a OR task:b queue:c", JobWhere(some=(JobWhere(tasks=("a",)), JobWhere(tasks=("b",), queues=("c",))))),
        ("task:NOT", JobWhere(tasks=("NOT",))),
    ],
)
def test_what_people_type(text: str, where: JobWhere) -> None:
    assert parse(text, NOW_MS) == where


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("stat:dead", "at character 1: 'stat' is no field of the filter; state is."),
        ("state:dead state:deaf", "at character 18: 'deaf' is no state; there are blocked, "),
        ("foo", "at character 1: a term such as state:dead is expected, not 'foo'."),
        ("state:", "at character 7: a value is expected, not the end."),
        ("state:dead)", "at character 11: "),
        ("(state:dead", "at character 12: a closing parenthesis is expected, not the end."),
        ('error:"abc', "at character 7: a quotation mark that is not closed."),
        ("args:3", "at character 1: args needs a path, as in args.user.id:42."),
        ("created:yesterday", "at character 9: 'yesterday' is no time; "),
        ("created:2026-13-01", "at character 9: '2026-13-01' is no time; "),
        ("age:1h..2h", "at character 5: a span is written created:2026-01-01..2026-02-01."),
        ("args.x:<foo", "at character 8: args.x is compared with a number, not 'foo'."),
        ("queue:>a", "at character 7: queue has no order; write queue:VALUE."),
        ("created:~a", "at character 9: 'a' is no time; "),
        ("(" * 40, "at character 33: at most 32 parentheses are read within each other."),
    ],
)
def test_what_cannot_be_read_and_where(text: str, sentence: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        parse(text, NOW_MS)
    assert sentence in str(refused.value)
    assert refused.value.path == ("where", "text")


@given(st.text(alphabet='state:dgor()-" ,~<>=.[]0OR', max_size=60) | st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidOption):
        check(parse(text, NOW_MS))


def test_a_bomb_is_refused_in_milliseconds() -> None:
    for text in ("(" * 4_000, "-" * 4_000, "a:b " * 1_000, '"' * 4_000, "args." + "x." * 2_000 + ":1", "x" * 100_000):
        begun = time.perf_counter()
        with pytest.raises(InvalidOption):
            parse(text, NOW_MS)
        assert time.perf_counter() - begun < 0.2, text[:20]


def nested(depth: int) -> JobWhere:
    where = JobWhere(tasks=("a",))
    for _ in range(depth):
        where = JobWhere(none=(where,))
    return where


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (JobWhere(tags=("t",) * 101), ("tags",)),
        (JobWhere(owners=("a\0",)), ("owners",)),
        (JobWhere(tasks=("\ud800",)), ("tasks",)),
        (JobWhere(keys=("x" * 1_025,)), ("keys",)),
        (JobWhere(error="\0"), ("error",)),
        (JobWhere(created=TimeRange()), ("created",)),
        (JobWhere(created=TimeRange(from_ms=-1)), ("created",)),
        (JobWhere(created=TimeRange(until_ms=2**60)), ("created",)),
        (JobWhere(args=(PathWhere(path="a"),)), ("args", 0)),
        (JobWhere(args=(path("", 1),)), ("args", 0)),
        (JobWhere(args=(path(".a", 1),)), ("args", 0)),
        (JobWhere(args=(path("a..b", 1),)), ("args", 0)),
        (JobWhere(args=(path('a"b', 1),)), ("args", 0)),
        (JobWhere(args=(path("a[x]", 1),)), ("args", 0)),
        (JobWhere(args=(path(".".join("a" * 17), 1),)), ("args", 0)),
        (JobWhere(metadata=(path("a", NUMBER_MAX + 1),)), ("metadata", 0)),
        (JobWhere(metadata=(path("a", float("nan")),)), ("metadata", 0)),
        (JobWhere(some=(JobWhere(), JobWhere(none=(JobWhere(tasks=("\0",)),)))), ("or", 1, "not", 0, "tasks")),
        (nested(DEPTH_MAX + 1), ("not", 0) * DEPTH_MAX),
        (JobWhere(some=(JobWhere(tasks=("a",)),) * 60), ()),
    ],
)
def test_filters_that_make_no_sense(where: JobWhere, place: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidOption) as refused:
        check(where)
    assert refused.value.path == ("where", *place)


def test_the_deepest_filter_that_is_allowed() -> None:
    check(nested(DEPTH_MAX))


@pytest.mark.parametrize(
    ("one", "document", "holds_there"),
    [
        (path("a", 1), {"a": 1.0}, True),
        (path("a", 1), {"a": True}, False),
        (path("a", True), {"a": 1}, False),
        (path("a", None), {"a": None}, True),
        (path("a", None), {}, False),
        (path("a.0", "x"), {"a": ["x"]}, False),
        (path("a[0]", "x"), {"a": ["x"]}, True),
        (path("a[0]", "x"), {"a": {"0": "x"}}, False),
        (PathWhere(path="a", at_least=0, at_most=1), {"a": True}, False),
        (PathWhere(path="a", exists=True), {"a": None}, True),
        (PathWhere(path="a", exists=False), {"a": None}, False),
        (PathWhere(path="a", contains="x"), {"a": ["x"]}, False),
    ],
)
def test_values_of_documents(one: PathWhere, document: object, holds_there: bool) -> None:
    assert holds(one, document) is holds_there
