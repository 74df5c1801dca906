from __future__ import annotations

from pathlib import Path

import pytest

from examples.user_sync.directory_api import Refused
from examples.user_sync.stand_in.trouble import RateLimit
from examples.user_sync.tasks import sync_users
from jobs import LogLevel, Snooze
from jobs.errors import InvalidArguments
from jobs.retry import delay_ms
from jobs.testing import run_task
from tests.examples.user_sync.conftest import TOKEN, Desk


@pytest.fixture(autouse=True)
def environ(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_SYNC_URL", desk.url)
    monkeypatch.setenv("USER_SYNC_TOKEN", TOKEN)
    monkeypatch.setenv("USER_SYNC_DATABASE", str(tmp_path / "folder" / "users.sqlite3"))


async def test_the_task_reports_and_returns_what_it_did() -> None:
    ran = await run_task(sync_users, {"mode": "FULL", "batch_size": 50})
    assert ran.result == {"synced": 92, "skipped": 0, "failed": 3, "batches": 2, "seconds": ran.result["seconds"]}
    assert ran.progress
    assert (ran.progress.percentage, ran.progress.failed) == (100, 3)
    assert [line[:2] for line in ran.lines] == [
        (LogLevel.INFO, "Sync begins"),
        (LogLevel.ERROR, "Item failed: Unreadable: RECORD_DAMAGED: The record of user-000030 is damaged."),
        (LogLevel.ERROR, "Item failed: Unreadable: MAILBOX_UNKNOWN: The mail system does not know user-000060."),
        (LogLevel.ERROR, "Item failed: Unreadable: RECORD_DAMAGED: The record of user-000090 is damaged."),
        (LogLevel.INFO, "Sync finished"),
    ]


def test_it_has_four_attempts_after_5_25_and_125_seconds() -> None:
    definition = sync_users.definition
    assert definition.max_attempts == 4
    assert [delay_ms(definition.backoff, failures, lambda: 0.5) for failures in (1, 2, 3)] == [5_000, 25_000, 125_000]


@pytest.mark.parametrize("args", [{"batch_size": 0}, {"batch_size": 101}, {"mode": "PARTIAL"}, {"limit": 1}])
async def test_arguments_out_of_range_are_refused(args: dict[str, object]) -> None:
    with pytest.raises(InvalidArguments):
        await run_task(sync_users, args)


async def test_a_long_rate_limit_is_slept_out_without_using_up_an_attempt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.user_sync.sync.PATIENCE_S", 0.01)
    desk.stand_in.rate_limit = RateLimit(per_second=1)
    with pytest.raises(Snooze) as caught:
        await run_task(sync_users, {"batch_size": 10})
    assert 0 < caught.value.delay_ms <= 1_000


async def test_a_token_that_is_refused_ends_the_job(desk: Desk) -> None:
    desk.stand_in.token = "another"
    with pytest.raises(Refused) as caught:
        await run_task(sync_users)
    assert isinstance(caught.value, sync_users.no_retry)
