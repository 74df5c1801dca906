"""The sync's own SQLite database: users, those that failed, and a checkpoint per sync."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from examples.user_sync.user import Page, SyncMode, SyncResult

_SQL = Path(__file__).with_name("table.sql")


class Phase(StrEnum):
    """What a sync reads next."""

    CHANGED = "CHANGED"
    """Users that changed."""
    FAILED_BEFORE = "FAILED_BEFORE"
    """Users that an earlier sync could not read, and that were not met among the changed ones."""
    FINISHED = "FINISHED"


@dataclass(frozen=True)
class Checkpoint:
    """Where a sync stands after its last committed batch."""

    id: str
    since: str | None
    """Users that changed at this time or later are read; None: all."""
    phase: Phase = Phase.CHANGED
    cursor: str | None = None
    """The API's cursor behind the last batch of the changed users."""
    newest: str = ""
    """Time of the newest change met in the phase CHANGED; the next incremental sync starts there."""
    met: int = 0
    """Users met, readable or not."""
    total: int = 0
    """Users to meet, as far as that is known."""
    synced: int = 0
    skipped: int = 0
    batches: int = 0
    seconds: float = 0.0


class Table:
    """The database in the file `path`. Every method opens it, does one transaction, and closes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as db:
            db.executescript(_SQL.read_text(encoding="utf-8"))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
            yield db

    def begin(self, sync_id: str, mode: SyncMode) -> Checkpoint:
        """Start the sync, or find where its last attempt came to."""
        with self._transaction() as db:
            row = db.execute(
                "SELECT since, phase, cursor, newest, met, total, synced, skipped, batches, seconds"
                " FROM sync WHERE id = ?",
                (sync_id,),
            ).fetchone()
            if row:
                return Checkpoint(sync_id, row[0], Phase(row[1]), *row[2:])
            since = None
            if mode is SyncMode.INCREMENTAL:
                (since,) = db.execute("SELECT max(newest) FROM sync WHERE phase = 'FINISHED'").fetchone()
            checkpoint = Checkpoint(sync_id, since or None)
            _save(db, checkpoint)
            return checkpoint

    def write(self, page: Page, checkpoint: Checkpoint) -> Checkpoint:
        """Write a batch and the checkpoint behind it, which is returned, in one transaction."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._transaction() as db:
            skipped = sum(
                db.execute("SELECT 1 FROM user WHERE id = ? AND updated_at = ?", (user.id, user.updated_at)).fetchone()
                is not None
                for user in page.users
            )
            db.executemany(
                "INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(u.id, u.name, u.email, u.department, u.active, u.updated_at, now) for u in page.users],
            )
            db.executemany("DELETE FROM user_error WHERE user_id = ?", [(user.id,) for user in page.users])
            db.executemany(
                "INSERT OR REPLACE INTO user_error VALUES (?, ?, ?, ?, ?)",
                [(error.user_id, error.code, error.message, checkpoint.id, now) for error in page.errors],
            )
            checkpoint = replace(
                checkpoint,
                met=checkpoint.met + page.size,
                synced=checkpoint.synced + len(page.users) - skipped,
                skipped=checkpoint.skipped + skipped,
                batches=checkpoint.batches + 1,
            )
            _save(db, checkpoint)
            return checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that comes without a batch."""
        with self._transaction() as db:
            _save(db, checkpoint)

    def failed_before(self, sync_id: str, limit: int) -> tuple[list[str], int]:
        """Ids of users that an earlier sync could not read and this one has not met, and how many there are."""
        where = "FROM user_error WHERE sync_id <> ?"
        with self._transaction() as db:
            rows = db.execute(f"SELECT user_id {where} ORDER BY user_id LIMIT ?", (sync_id, limit)).fetchall()
            (count,) = db.execute(f"SELECT count(*) {where}", (sync_id,)).fetchone()
            return [user_id for (user_id,) in rows], count

    def result(self, checkpoint: Checkpoint) -> SyncResult:
        """Sum the sync up."""
        with self._transaction() as db:
            (failed,) = db.execute("SELECT count(*) FROM user_error WHERE sync_id = ?", (checkpoint.id,)).fetchone()
        return SyncResult(
            checkpoint.synced, checkpoint.skipped, failed, checkpoint.batches, round(checkpoint.seconds, 3)
        )


def _save(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    c = checkpoint
    db.execute(
        "INSERT OR REPLACE INTO sync VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (c.id, c.since, c.phase, c.cursor, c.newest, c.met, c.total, c.synced, c.skipped, c.batches, c.seconds),
    )
