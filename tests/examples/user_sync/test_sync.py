from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from examples.user_sync.directory_api import Refused, Throttled, Unavailable
from examples.user_sync.stand_in.directory import User
from examples.user_sync.stand_in.trouble import Faults, RateLimit
from examples.user_sync.user import SyncMode, SyncResult
from tests.examples.user_sync.conftest import TOKEN, Desk


@pytest.fixture
def database(tmp_path: Path) -> Any:
    def rows(sql: str) -> list[Any]:
        with sqlite3.connect(tmp_path / "users.sqlite3") as db:
            found = db.execute(sql).fetchall()
        db.close()
        return found

    return rows


def row(user: User) -> tuple[Any, ...]:
    return (user.id, user.name, user.email, user.department, user.active, user.updated_at)


USERS = "SELECT id, name, email, department, active, updated_at FROM user ORDER BY id"
ERRORS = "SELECT user_id, code FROM user_error ORDER BY user_id"


async def test_all_readable_users_are_written_and_the_others_recorded(desk: Desk, database: Any) -> None:
    result = await desk.sync(batch_size=10)
    assert (result.synced, result.skipped, result.failed, result.batches) == (92, 0, 3, 10)
    assert database(USERS) == [row(user) for user in desk.directory.users.values() if not user.unreadable]
    assert database(ERRORS) == [
        ("user-000030", "RECORD_DAMAGED"), ("user-000060", "MAILBOX_UNKNOWN"), ("user-000090", "RECORD_DAMAGED"),
    ]  # fmt: skip
    assert desk.observer.count("Item failed: Unreadable") == 3


async def test_progress_goes_from_0_to_100_and_never_back(desk: Desk) -> None:
    await desk.sync()
    percents = desk.observer.percents
    assert percents == sorted(percents)
    assert (percents[0], percents[-1], len(set(percents))) == (0, 100, 11)


async def test_an_incremental_sync_reads_what_changed_and_what_failed(desk: Desk, database: Any) -> None:
    await desk.sync("1")
    desk.directory.touch(7)
    desk.directory.users["user-000060"].unreadable = ""
    result = await desk.sync("2")
    # 7 changed and 1 readable now; the newest user of the last sync is met again, as its second may not have been over.
    assert (result.synced, result.skipped, result.failed, result.batches) == (8, 1, 2, 2)
    assert database(USERS) == [row(user) for user in desk.directory.users.values() if not user.unreadable]
    assert [user_id for user_id, _ in database(ERRORS)] == ["user-000030", "user-000090"]


async def test_a_full_sync_reads_everybody(desk: Desk) -> None:
    await desk.sync("1")
    result = await desk.sync("2", SyncMode.FULL)
    assert (result.synced, result.skipped, result.failed, result.batches) == (0, 92, 3, 10)


async def test_a_failed_user_who_is_gone_stays_recorded_and_ends_the_sync(desk: Desk, database: Any) -> None:
    await desk.sync("1")
    del desk.directory.users["user-000030"]
    result = await desk.sync("2")
    assert result.failed == 3
    assert ("user-000030", "USER_GONE") in database(ERRORS)


async def test_users_that_change_during_a_sync_are_met_again(desk: Desk, database: Any) -> None:
    def change_in_the_middle(percent: float) -> None:
        if 50 < percent < 60 and not desk.directory.users["user-000001"].revision:
            desk.directory.touch(3)

    desk.observer.at = change_in_the_middle
    await desk.go_on("1")
    assert database(USERS) == [row(user) for user in desk.directory.users.values() if not user.unreadable]


async def test_a_failed_user_who_is_read_again_does_not_hide_changes_from_the_next_sync(
    desk: Desk, database: Any
) -> None:
    await desk.sync("1")

    def change_behind_the_changed_users(percent: float) -> None:
        if 0 < percent < 100 and not desk.directory.users["user-000030"].revision:
            desk.directory.touch(30)
            desk.directory.users["user-000030"].unreadable = ""

    desk.observer.at = change_behind_the_changed_users
    await desk.go_on("2")
    assert ("user-000030",) in database("SELECT id FROM user")
    await desk.sync("3")
    assert database(USERS) == [row(user) for user in desk.directory.users.values() if not user.unreadable]


async def test_an_attempt_that_fails_keeps_its_batches_and_the_next_goes_on_behind_them(
    desk: Desk, database: Any
) -> None:
    def revoke_in_the_middle(percent: float) -> None:
        desk.stand_in.token = "another" if percent > 50 else TOKEN

    desk.observer.at = revoke_in_the_middle
    with pytest.raises(Refused):
        await desk.go_on("1")
    written = len(database(USERS))
    assert 45 < written < 95
    desk.stand_in.token = TOKEN
    desk.observer.at = lambda _percent: None
    result = await desk.go_on("1")
    assert (result.synced, result.skipped, result.failed, result.batches) == (92, 0, 3, 10)
    assert desk.observer.count("Sync goes on") == 1


async def test_a_sync_that_has_finished_says_the_same_again(desk: Desk) -> None:
    first = await desk.sync("1")
    assert await desk.sync("1") == first


async def test_requests_that_fail_now_and_then_are_sent_again(desk: Desk) -> None:
    desk.stand_in.faults = Faults(every=3)
    result = await desk.sync()
    assert result == SyncResult(92, 0, 3, 10, result.seconds)
    assert desk.observer.count("Request failed") >= 2


async def test_the_rate_limit_is_obeyed_in_both_its_forms(desk: Desk) -> None:
    desk.stand_in.rate_limit = RateLimit(per_second=4)
    result = await desk.sync()
    assert result.synced == 92
    assert desk.stand_in.rate_limit.refused == desk.observer.count("Rate limit reached") == 2


async def test_a_wait_that_is_too_long_is_left_to_the_caller(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.user_sync.sync.PATIENCE_S", 0.01)
    desk.stand_in.rate_limit = RateLimit(per_second=4)
    with pytest.raises(Throttled) as caught:
        await desk.sync()
    assert 0 < caught.value.retry_after_s <= 1


async def test_a_wrong_token_is_refused(desk: Desk) -> None:
    async with desk.api(token="another") as api:
        with pytest.raises(Refused, match=r"\(401\): The token is not valid\.$"):
            await api.changed_users(10, None, None)


async def test_an_answer_that_does_not_come_in_time_is_unavailable(desk: Desk) -> None:
    desk.stand_in.faults = Faults(every=1)
    async with desk.api(timeout_s=0.1) as api:
        with pytest.raises(Unavailable, match="500"):
            await api.changed_users(10, None, None)
        with pytest.raises(Unavailable, match="in time"):
            await api.changed_users(10, None, None)
        with pytest.raises(Unavailable, match="cannot be read"):
            await api.changed_users(10, None, None)


@pytest.mark.parametrize(("first", "cursor", "since"), [(101, None, None), (10, "???", None), (10, None, "yesterday")])
async def test_bad_arguments_are_refused(desk: Desk, first: int, cursor: str | None, since: str | None) -> None:
    async with desk.api() as api:
        with pytest.raises(Refused, match="BAD_USER_INPUT"):
            await api.changed_users(first, cursor, since)
