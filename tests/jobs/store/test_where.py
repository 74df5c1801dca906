"""The filter as SQL, on both databases, against the filter as a predicate: they agree about every job."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jobs.clock import new_id
from jobs.errors import InvalidOption
from jobs.job import Failure, Job, Priority, Reason, State
from jobs.page import Counted, Direction, PageRequest
from jobs.store import Store
from jobs.store.lead import lifted
from jobs.where import JobWhere, PathWhere, TimeRange, check
from jobs.where_fit import fits
from tests.factories import make_spec
from tests.jobs.store.story import BEGIN_MS, Story, Tale

WORDS = ["mail", "Report", "Ünï", "İK", "a'b", "100%", "x_y", '"', "\\", "", "null", "true", "1"]
KEYS = ["user", "id", "items", "a b", "0", "ключ", "x"]
NUMBERS = [0, 1, -1, 1.0, 1.5, 2**53, -(2**53), 1e-7, 42, 0.1]
ENDS = st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS), st.booleans(), st.none())
DOCUMENTS = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        ENDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)  # fmt: skip
STEPS = st.one_of(
    st.sampled_from(KEYS).filter(str.isprintable).map(lambda key: f".{key}"), st.sampled_from(["[0]", "[1]"])
)
PATHS = st.lists(STEPS, min_size=1, max_size=3).map(lambda steps: "".join(steps).removeprefix("."))
PATH_WHERES = st.builds(
    PathWhere,
    path=PATHS,
    equals=st.lists(ENDS, max_size=2).map(tuple),
    contains=st.sampled_from(["", "a", "%", "ï", "Ï", "k", "'", "RE"]),
    at_least=st.none() | st.sampled_from([0.0, 1.0, 1.5, -3.0]),
    at_most=st.none() | st.sampled_from([0.0, 1.0, 42.0]),
    exists=st.none() | st.booleans(),
).filter(lambda one: one != PathWhere(path=one.path))
SPANS = st.builds(
    TimeRange,
    from_ms=st.integers(BEGIN_MS - 1000, BEGIN_MS + 1_000_500),
    until_ms=st.none() | st.integers(BEGIN_MS, BEGIN_MS + 1_000_500),
)


def rarely(strategy: Any, nothing: Any = ()) -> Any:
    """Mostly nothing, so that a filter finds something at times."""
    return st.integers(0, 7).flatmap(lambda number: strategy if number == 0 else st.just(nothing))


def few(values: list[Any]) -> Any:
    return rarely(st.lists(st.sampled_from(values), min_size=1, max_size=3).map(tuple))


def few_of(strategy: Any) -> Any:
    return rarely(st.lists(strategy, min_size=1, max_size=2).map(tuple))


def wheres(branches: Any) -> Any:
    return st.builds(
        JobWhere,
        states=few(list(State)),
        tasks=few(["task0", "task1", "none"]),
        queues=few(["queue0", "queue1"]),
        keys=few(["key0", "key1"]),
        owners=few(["u0", "u1", "a'b"]),
        tags=few(["t0", "t1", "t2"]),
        priorities=few(list(Priority)),
        reasons=few(list(Reason)),
        parents=few(["p0", "p1"]),
        error=rarely(st.sampled_from(["boom", "BOOM", "valueERROR", "the end", "Ü", "ü", "%"]), ""),
        args=few_of(PATH_WHERES),
        metadata=few_of(PATH_WHERES),
        created=rarely(SPANS, None),
        started=rarely(SPANS, None),
        finished=rarely(SPANS, None),
        scheduled=rarely(SPANS, None),
        updated=rarely(SPANS, None),
        every=branches,
        some=branches,
        none=branches,
    )


NOTHING = st.just(())
INNER = few_of(wheres(NOTHING))
WHERES = wheres(few_of(wheres(INNER)))


async def fill(store: Store, story: Story) -> list[Job]:
    """Sixty jobs of all kinds; the same each time."""
    chance = random.Random(7)  # noqa: S311  # data for a test
    documents = [{"user": {"id": 42}, "items": [1, "a", {"x": True}]}, {"0": "1", "x": 1.0}, {"x": True, "a b": None}]
    specs = []
    for number in range(60):
        created_ms = BEGIN_MS + number * 10_000
        time = f"{created_ms:012x}"
        spec = make_spec(
            id=f"{time[:8]}-{time[8:]}{new_id()[13:]}",
            task=f"task{number % 3}",
            queue=f"queue{number % 2}",
            key=f"key{number}" if number % 4 == 0 else "",
            owner=chance.choice(["", "u0", "u1", "a'b"]),
            tags=tuple(f"t{n}" for n in range(number % 4)),
            priority=chance.choice(list(Priority)),
            retry_of=chance.choice(["", "p0", "p1"]),
            args=documents[number % 3] if number % 5 else _document(chance),
            metadata=_document(chance),
            created_ms=created_ms,
        )
        specs.append(spec)
    await store.accept.accept_many(specs)
    for number, spec in enumerate(specs):
        tale = Tale(spec).enqueued(due_ms=BEGIN_MS + 5_000 if number % 7 == 0 else 0)
        match number % 6:
            case 1:
                tale.started()
            case 2:
                tale.started().completed()
            case 3:
                tale.started().died(reason=chance.choice(list(Reason)))
            case 4:
                tale.started().retrying()
            case 5:
                tale.cancelled()
        await story.record(tale)
    found = await store.search.jobs_by_id([spec.id for spec in specs])
    return [found[spec.id] for spec in specs]


def _document(chance: random.Random) -> dict[str, Any]:
    def value(depth: int) -> Any:
        kind = chance.randrange(5 if depth else 3)
        match kind:
            case 0:
                return chance.choice(WORDS)
            case 1:
                return chance.choice(NUMBERS)
            case 2:
                return chance.choice([True, False, None])
            case 3:
                return [value(depth - 1) for _ in range(chance.randrange(3))]
            case _:
                return {key: value(depth - 1) for key in chance.sample(KEYS, 2)}

    return {key: value(2) for key in chance.sample(KEYS, 3)}


def drawn(examples: int) -> list[JobWhere]:
    """Filters of all kinds; the same each time."""
    wanted: list[JobWhere] = []

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(WHERES)
    def gather(where: JobWhere) -> None:
        with contextlib.suppress(InvalidOption):  # too many parts
            check(where)
            wanted.append(where)

    gather()
    return wanted


async def test_both_databases_agree_with_the_predicate(store: Store, story: Story) -> None:
    jobs = await fill(store, story)
    assert {type(job.error) for job in jobs} == {Failure, type(None)}
    wanted = drawn(400)
    assert len(wanted) > 200
    found_something = 0
    for number, where in enumerate(wanted):
        direction = list(Direction)[number % 2]
        expected = [job.id for job in jobs if fits(where, job)]
        if direction is Direction.DESC:
            expected.reverse()
        page = await store.search.jobs(where, PageRequest(limit=100), direction)
        assert [job.id for job in page.items] == expected, where
        assert await store.search.count(where) == Counted(len(expected), True)
        found_something += 0 < len(expected) < len(jobs)
    assert found_something > 50


async def test_what_is_found_in_steps_and_windows_is_all_of_it(
    store: Store, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await fill(store, story)
    for name, value in {"WINDOW": 20, "FIRST": 4, "STEPS": (8, 4, 2)}.items():
        monkeypatch.setattr(f"jobs.store.job_search.{name}", value)
    wanted = drawn(160)
    cut_short = 0
    for number, where in enumerate(wanted):
        direction, backward = list(Direction)[number % 2], number % 3 == 0
        expected = [job.id for job in jobs if fits(where, job)]
        if (direction is Direction.DESC) is not backward:
            expected.reverse()
        found: list[str] = []
        cursor: str | None = None
        while True:
            asked = PageRequest(limit=5, backward=backward, **({"before" if backward else "after": cursor}))
            page = await store.search.jobs(where, asked, direction)
            found += [job.id for job in (reversed(page.items) if backward else page.items)]
            cut_short += page.reached is not None
            if not (page.has_previous if backward else page.has_next):
                break
            cursor = page.reached or page.cursors[0 if backward else -1]
        assert found == expected, where
        counted = await store.search.count(where)
        assert counted.value == len(expected) if counted.whole else counted.value <= len(expected)
    assert cut_short > 50


async def test_a_filter_written_with_fewer_branches_is_the_same_filter(store: Store, story: Story) -> None:
    jobs = await fill(store, story)

    @settings(
        max_examples=400,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(WHERES)
    def compare(where: JobWhere) -> None:
        lean = lifted(where)
        assert [fits(lean, job) for job in jobs] == [fits(where, job) for job in jobs]

    compare()
    assert lifted(JobWhere(every=(JobWhere(every=(JobWhere(tags=("a",)),)), JobWhere(owners=("b",))))) == JobWhere(
        tags=("a",), owners=("b",)
    )


@pytest.mark.parametrize(
    "one",
    [
        PathWhere(path="user.id", equals=(42,)),
        PathWhere(path="items[2].x", equals=(True,)),
        PathWhere(path="items[0]", at_least=1, at_most=1),
        PathWhere(path="items[1]", contains="a"),
    ],
)
async def test_a_value_deep_within_the_arguments(store: Store, story: Story, one: PathWhere) -> None:
    jobs = await fill(store, story)
    page = await store.search.jobs(JobWhere(args=(one,)), PageRequest(limit=100))
    assert [job.id for job in page.items] == [job.id for job in reversed(jobs) if fits(JobWhere(args=(one,)), job)]
    assert len(page.items) >= 15
