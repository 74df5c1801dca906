"""Records that cannot be read: kept once, counted, readable; and no list stops for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobs import quarantine as vocabulary
from jobs.clock import now_ms
from jobs.errors import InvalidCursor, StoreUnavailable
from jobs.event import START, Position
from jobs.job import LogLevel, State
from jobs.page import PageRequest
from jobs.quarantine import RECORD_MAX, Quarantined, Source, unreadable
from jobs.store import Store
from jobs.store import quarantine as stored
from jobs.where import JobWhere
from tests.factories import make_spec
from tests.jobs.store.history import accepted
from tests.jobs.store.story import BEGIN_MS, Tale
from tests.jobs.tasks import registry

Damage = Callable[..., Awaitable[None]]


@pytest.fixture
def damage(store: Store) -> Damage:
    """Writes what QueueQL would not."""

    async def damage(table: str, key: str, value: str, **columns: Any) -> None:
        for name, text in columns.items():
            async with store._database.transaction() as transaction:
                sql = f"UPDATE {table} SET {name} = $1 WHERE {key} = $2"  # noqa: S608  # the test's own names
                assert await transaction.execute(sql, (text, value))

    return damage


async def records(store: Store) -> list[Quarantined]:
    return (await store.quarantine.page(PageRequest(limit=100))).items


# The quarantine itself


async def test_a_record_is_kept_once_and_counted(store: Store) -> None:
    one = unreadable(Source.EVENT, "1-2-3-4", ValueError("no"), "what it was")
    for _ in range(3):
        await store.quarantine.note([one])
        store.quarantine._noted.clear()
    (kept,) = await records(store)
    assert (kept.source, kept.ref, kept.reason, kept.record) == (one.source, one.ref, "ValueError: no", "what it was")
    assert abs(kept.at_ms - now_ms()) < 60_000
    assert await store.quarantine.find(str(kept.id)) == kept
    assert "1 records could not be read" in (await store.quarantine.health()).detail


async def test_a_removed_record_is_kept_again_when_it_is_found_again(store: Store) -> None:
    one = unreadable(Source.TASK, "send", "damaged", "{")
    await store.quarantine.note([one])
    (kept,) = await records(store)
    assert await store.quarantine.remove(str(kept.id))
    assert not await store.quarantine.remove(str(kept.id))
    assert not await store.quarantine.remove("²")
    assert await records(store) == []
    await store.quarantine.note([one])
    assert len(await records(store)) == 1


async def test_pages(store: Store) -> None:
    await store.quarantine.note([unreadable(Source.EVENT, str(number), "x", str(number)) for number in range(5)])
    newest = await store.quarantine.page(PageRequest(limit=2))
    rest = await store.quarantine.page(PageRequest(limit=9, after=newest.cursors[-1]))
    back = await store.quarantine.page(PageRequest(limit=9, before=rest.cursors[0]))
    ids = [record.id for record in [*newest.items, *rest.items]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), newest.has_next, rest.has_next) == (5, True, False)
    assert back.items == newest.items
    with pytest.raises(InvalidCursor):
        await store.quarantine.page(PageRequest(after="?"))


async def test_the_oldest_give_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_MAKE_ROOM", stored._MAKE_ROOM.replace(str(stored.KEPT_MAX), "3"))
    for number in range(6):
        await store.quarantine.note([unreadable(Source.EVENT, str(number), "x", "y")])
    assert [record.ref for record in await records(store)] == ["5", "4", "3"]


def test_what_is_kept_can_be_stored_and_read() -> None:
    one = unreadable(Source.EVENT, "r" * 999, "\x00\ud800", vocabulary.as_text(b"\x00\xff'\n") + "x" * RECORD_MAX)
    assert len(one.ref) == 255
    assert one.reason == "\\x00\\ud800"
    assert one.record.startswith("\\x00\\xff")
    assert len(one.record) == RECORD_MAX


async def test_nobody_waits_for_a_quarantine_that_cannot_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.close()
    await store.quarantine.note([unreadable(Source.EVENT, "1", "x", "y")])
    with pytest.raises(StoreUnavailable):
        await store.quarantine.count()
    health = await store.quarantine.health()
    assert (health.ok, health.known) == (False, False)


# What the recorder hands over


async def test_what_the_reader_could_not_read_is_kept_with_the_position(store: Store) -> None:
    new = Position(1, BEGIN_MS, 0, 0)
    await store.history.record([], old=START, new=new, unread=[unreadable(Source.EVENT, str(new), "x", "y")])
    assert await store.history.position() == new
    assert [record.ref for record in await records(store)] == [str(new)]


async def test_a_memory_job_whose_spec_is_damaged_stops_nobody(store: Store) -> None:
    good, bad = make_spec(), make_spec()
    tale = Tale(bad, memory=True).enqueued()
    damaged = type(tale.events[0])(**{
        name: getattr(tale.events[0], name) for name in tale.events[0].__struct_fields__ if name != "spec"
    }, spec="{")  # fmt: skip
    events = [damaged, *Tale(bad, version=1_000_001).started().events, *Tale(good, memory=True).enqueued().events]
    batch = [(Position(1, BEGIN_MS, 0, index), event) for index, event in enumerate(events)]
    await store.history.record(batch, old=START, new=batch[-1][0])
    assert (await store.search.job(good.id)) is not None
    assert (await store.search.job(bad.id)) is None
    assert [bad.id in record.record for record in await records(store)] == [True]


async def test_events_that_come_in_the_wrong_shape_in_a_large_batch(store: Store) -> None:
    specs = [await accepted(store) for _ in range(20)]
    events = [Tale(spec).enqueued().events[0] for spec in specs]
    for index in (0, 7, 19):
        events[index] = type(events[index])(**{
            name: getattr(events[index], name) for name in events[index].__struct_fields__ if name != "due_ms"
        }, due_ms=1 << 80)  # fmt: skip
    batch = [(Position(1, BEGIN_MS, 0, index), event) for index, event in enumerate(events)]
    await store.history.record(batch, old=START, new=batch[-1][0])
    found = await store.search.jobs_by_id([spec.id for spec in specs])
    assert [index for index, spec in enumerate(specs) if not found[spec.id].version] == [0, 7, 19]
    assert len(await records(store)) == 3
    assert await store.history.position() == batch[-1][0]


# Rows


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("tags", "{", ("tags", ())),
        ("backoff", '{"kind":"NONE"}', ("max_attempts", 3)),
        ("result", "{", ("result", {"unreadable": True})),
        ("progress", "[]", ("progress", None)),
        ("reason", "BORED", ("reason", None)),
        ("durability", "STONE", ("task", "noop")),
    ],
)
async def test_a_job_is_shown_without_the_part_that_is_damaged(
    store: Store, damage: Damage, column: str, value: str, shown: tuple[str, Any]
) -> None:
    spec, other = await accepted(store, tags=("a",)), await accepted(store)
    await damage("job", "id", spec.id, **{column: value})
    page = await store.search.jobs(JobWhere(), PageRequest())
    assert {job.id for job in page.items} == {spec.id, other.id}
    job = await store.search.job(spec.id)
    assert job
    assert getattr(job, shown[0]) == shown[1]
    assert (await store.search.jobs_by_id([spec.id]))[spec.id] == job
    (record,) = await records(store)
    assert (record.source, record.ref, record.record) == (Source.JOB, spec.id, value)
    assert record.reason.startswith(column)


async def test_a_job_of_which_nothing_can_be_shown_is_left_out_of_lists(store: Store, damage: Damage) -> None:
    specs = [await accepted(store) for _ in range(4)]
    await damage("job", "id", specs[1].id, state="DREAMING")
    first = await store.search.jobs(JobWhere(), PageRequest(limit=3))
    assert [job.id for job in first.items] == [specs[3].id, specs[2].id]
    assert (len(first.cursors), first.has_next) == (2, True)
    assert await store.search.job(specs[1].id) is None
    (record,) = await records(store)
    assert "DREAMING" in record.record


async def test_a_damaged_job_that_is_to_run_is_pushed_with_its_own_arguments(store: Store, damage: Damage) -> None:
    spec = await accepted(store, args={"n": 1}, tags=("a",))
    await damage("job", "id", spec.id, tags="{")
    if store.dialect == "sqlite":  # PostgreSQL does not let it in
        await damage("job", "id", spec.id, args="{")
    (found,) = await store.search.unfinished(after_id="", limit=10)
    assert found.spec.tags == ()
    assert bytes(found.spec.args) in {b"{", b'{"n": 1}', b'{"n":1}'}
    assert len(await store.search.unpushed(created_before_ms=now_ms() + 60_000, limit=10)) == 1


async def test_arguments_that_are_damaged_are_said_to_be(store: Store, damage: Damage) -> None:
    spec = await accepted(store)
    if store.dialect == "sqlite":
        await damage("job", "id", spec.id, args="{", metadata="]")
        job = await store.search.job(spec.id)
        assert job
        assert (job.args, job.metadata) == ({"unreadable": True}, {"unreadable": True})


async def test_damaged_attempts_and_log_lines_are_shown_as_far_as_they_can_be(store: Store, damage: Damage) -> None:
    spec = await accepted(store)
    tale = Tale(spec).enqueued().started().logged("said")
    batch = [(Position(1, BEGIN_MS, 0, index), event) for index, event in enumerate(tale.events)]
    await store.history.record(batch, old=START, new=batch[-1][0])
    await damage("attempt", "job_id", spec.id, error="{")
    await damage("log_line", "job_id", spec.id, context="{")
    (attempt,) = (await store.search.attempts([spec.id]))[spec.id]
    assert attempt.error
    assert attempt.error.type == "UNREADABLE"
    (line,) = (await store.search.logs(spec.id, PageRequest())).items
    assert (line.message, line.level, line.context) == ("said", LogLevel.INFO, {"unreadable": True})
    assert {record.source for record in await records(store)} == {Source.ATTEMPT, Source.LOG_LINE}
    job = await store.search.job(spec.id)
    assert job
    assert job.state is State.ACTIVE


async def test_a_damaged_task_is_left_out_of_the_catalogue(store: Store, damage: Damage) -> None:
    await store.catalogue.publish(registry.definitions())
    names = [task.name for task in await store.catalogue.tasks()]
    await damage("task", "name", names[0], definition='{"name":1}')
    assert [task.name for task in await store.catalogue.tasks()] == names[1:]
    (record,) = await records(store)
    assert (record.source, record.ref) == (Source.TASK, names[0])
