"""Cursors: a page of log lines goes on behind them, each belongs to its list and order, and nothing else is one."""

from __future__ import annotations

import base64

import pytest

from jobs.clock import new_id
from jobs.errors import InvalidCursor
from jobs.job import LogLevel
from jobs.page import Direction, PageRequest
from jobs.store import Store
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.story import Story, Tale


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ä",
        "%%%",
        "AAAA",
        base64.urlsafe_b64encode(b"2.job.DESC.abc").decode().rstrip("="),
        base64.urlsafe_b64encode(b"1.job.DESC.a\x00c").decode().rstrip("="),
        base64.urlsafe_b64encode(b"1.job.DESC.\xff").decode().rstrip("="),
        base64.urlsafe_b64encode(b"1.job.DESC.ab").decode(),
        "a" * 10_000,
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_cursor_that_is_none_of_ours_is_refused(store: Store, cursor: str) -> None:
    for asked in (PageRequest(after=cursor), PageRequest(before=cursor, backward=True)):
        with pytest.raises(InvalidCursor):
            await store.search.jobs(JobWhere(), asked)
        with pytest.raises(InvalidCursor):
            await store.search.logs("job", asked)


async def test_a_cursor_belongs_to_its_list_and_order(store: Store, story: Story) -> None:
    first, second = make_spec(), make_spec()
    await store.accept.accept_many([first, second])
    await story.record(Tale(first).enqueued().started().logged("a"), Tale(second).enqueued().started().logged("b"))
    of_jobs = (await store.search.jobs(JobWhere(), PageRequest())).cursors[0]
    of_logs = (await store.search.logs(first.id, PageRequest())).cursors[0]
    with pytest.raises(InvalidCursor):
        await store.search.jobs(JobWhere(), PageRequest(after=of_jobs), Direction.ASC)
    with pytest.raises(InvalidCursor):
        await store.search.jobs(JobWhere(), PageRequest(after=of_logs))
    with pytest.raises(InvalidCursor):
        await store.search.logs(second.id, PageRequest(after=of_logs))


async def test_log_lines_by_page_and_level(store: Store, story: Story) -> None:
    spec = make_spec()
    await store.accept.accept(spec)
    tale = Tale(spec).enqueued().started()
    levels = list(LogLevel)
    for number in range(12):
        tale.logged(str(number), levels[number % 4])
    await story.record(tale)
    seen, after = [], None
    while True:
        page = await store.search.logs(spec.id, PageRequest(limit=5, after=after))
        seen += [line.message for line in page.items]
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert seen == [str(number) for number in range(12)]
    loud = await store.search.logs(spec.id, PageRequest(limit=3, backward=True), level_min=LogLevel.WARNING)
    assert [line.message for line in loud.items] == ["7", "10", "11"]
    assert loud.has_previous
    assert (await store.search.logs(new_id(), PageRequest())).items == []
