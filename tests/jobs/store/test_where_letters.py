"""Texts that a filter looks for, letter for letter, whatever they mean to JSON and to databases."""

from __future__ import annotations

import pytest

from jobs.page import PageRequest
from jobs.store import Store
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale


async def died_with(store: Store, story: Story, messages: list[str]) -> list[str]:
    specs = [make_spec() for _ in messages]
    await store.accept.accept_many(specs)
    for spec, message in zip(specs, messages, strict=True):
        await story.record(Tale(spec).enqueued().started().died(message=message))
    return [spec.id for spec in specs]


async def with_error(store: Store, text: str) -> set[str]:
    return {job.id for job in (await store.search.jobs(JobWhere(error=text), PageRequest())).items}


async def test_errors_with_characters_that_json_writes_in_another_way(store: Store, story: Story) -> None:
    messages = ['a "b" c', "C:\\temp", "two\nlines", "Übel", "</b>", "plain"]
    ids = await died_with(store, story, messages)
    for text in ('"b"', "\\t", "\\n", "two\nl", "Ü", "</", "plain", "message", "line 1", '"', "\\"):
        fitting = {job_id for job_id, message in zip(ids, messages, strict=True) if text in message}
        assert await with_error(store, text) == fitting, text


@pytest.mark.parametrize(
    ("text", "places"),
    [("timeOUT", {0, 1}), ("t", {0, 1}), ("übeL", {3}), ("ÜBEL", {2}), ("Übel", {2}), ("k", set()), ("i", {0, 1, 5})],
)
async def test_errors_in_small_letters_or_capitals(store: Store, story: Story, text: str, places: set[int]) -> None:
    ids = await died_with(store, story, ["Timeout", "A TIMEOUT", "ÜBEL", "übel", "3 \u212a", "I", "\u0130", "\u0131"])
    assert {ids.index(one) for one in await with_error(store, text)} == places


async def test_tags_with_the_characters_that_separate_them(store: Store) -> None:
    lists = [('a","b',), ("a", "b"), ("[a]",), ("ü\\",), ("\n",), (",",), ()]
    specs = [make_spec(owner="u", tags=tags) for tags in lists]
    await store.accept.accept_many(specs)
    for tag in ("a", "b", 'a","b', "[a]", "ü\\", "\n", ",", '","', '"', "\\", ""):
        wheres = JobWhere(tags=(tag,)), JobWhere(some=(JobWhere(tags=(tag, "none")), JobWhere(queues=("none",))))
        for where in wheres:
            found = {job.id for job in (await store.search.jobs(where, PageRequest())).items}
            assert found == {spec.id for spec in specs if tag in spec.tags}, tag
