"""The sync as a task. Settings: USER_SYNC_URL, USER_SYNC_TOKEN and USER_SYNC_DATABASE of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from examples.user_sync.directory_api import DirectoryApi, Refused, Throttled
from examples.user_sync.sync import Sync
from examples.user_sync.table import Table
from examples.user_sync.user import SyncMode, SyncResult
from jobs import Context, Snooze, exponential, task

URL = "http://127.0.0.1:4000/graphql"
TOKEN = "stand-in"  # noqa: S105  # of the stand-in, which everybody may know
DATABASE = ".queueql/user_sync.sqlite3"

BatchSize = Annotated[int, Field(ge=1, le=100)]


@task(
    queue="user-sync",
    max_attempts=4,
    backoff=exponential(5, factor=5, jitter=0),  # the waits are 5 s, 25 s and 125 s
    timeout=600,
    no_retry=(Refused,),
)
async def sync_users(ctx: Context, mode: SyncMode = SyncMode.INCREMENTAL, batch_size: BatchSize = 100) -> SyncResult:
    """Bring the table of users up to date with the directory.

    Args:
        mode: Which users to read.
        batch_size: Users per request and per transaction, 1 to 100.
    """
    table = Table(Path(os.environ.get("USER_SYNC_DATABASE", DATABASE)))
    url, token = os.environ.get("USER_SYNC_URL", URL), os.environ.get("USER_SYNC_TOKEN", TOKEN)
    async with DirectoryApi(url, token) as api:
        try:
            return await Sync(api, table, ctx, id=ctx.job_id, batch_size=batch_size).run(mode)
        except Throttled as throttled:
            raise Snooze(throttled.retry_after_s) from throttled
