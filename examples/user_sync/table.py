"""The sync's own SQLite database: users, those that failed, and where each sync stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from examples.user_sync.user import SyncMode, User, UserError
from jobs import Batch, Chunk

_SQL = Path(__file__).with_name("table.sql")

Met = User | UserError
"""A user that a sync met, readable or not."""


class Overtaken(Exception):
    """Another attempt of the same sync has written this batch."""


class Unreadable(Exception):
    """The directory has the user, and cannot say who it is."""


@dataclass(frozen=True)
class Standing:
    """Where a sync stands after its last committed batch."""

    since: str | None
    """Users that changed at this time or later are read; None: all."""
    after: str
    """`chunk.after` of that batch; empty before the first."""


class Table:
    """The database in the file `path`. Every method opens it, does one transaction, and closes it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as db:
            db.executescript(_SQL.read_text(encoding="utf-8"))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level="IMMEDIATE")) as db, db:
            yield db

    def begin(self, sync_id: str, mode: SyncMode) -> Standing:
        """Start the sync, or find where its last attempt came to."""
        with self._transaction() as db:
            row = db.execute("SELECT since, after FROM sync WHERE id = ?", (sync_id,)).fetchone()
            if row:
                return Standing(*row)
            since = None
            if mode is SyncMode.INCREMENTAL:
                (since,) = db.execute("SELECT max(newest) FROM sync WHERE finished").fetchone()
            db.execute("INSERT INTO sync VALUES (?, ?, '', 0, '', 0)", (sync_id, since or None))
            return Standing(since or None, "")

    def write(self, sync_id: str, batch: Batch[Met], chunk: Chunk[Met], newest: str) -> None:
        """Write a chunk, and where the sync stands behind it, in one transaction. Raises Overtaken."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        users = [met for met in chunk if isinstance(met, User)]
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO user_error VALUES (?, ?, ?, ?, ?)",
                [(met.id, met.code, met.message, sync_id, now) for met in chunk if isinstance(met, UserError)],
            )
            skipped = _known(db, users)
            db.executemany(
                "INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(u.id, u.name, u.email, u.department, u.active, u.updated_at, now) for u in users],
            )
            db.executemany("DELETE FROM user_error WHERE user_id = ?", [(user.id,) for user in users])
            for met in chunk:
                if isinstance(met, UserError):
                    with chunk.item(met.id):
                        raise Unreadable(f"{met.code}: {met.message}")
            _add(batch.state, synced=len(users) - skipped, skipped=skipped)
            moved = db.execute(
                "UPDATE sync SET batch = ?, after = ?, newest = max(newest, ?) WHERE id = ? AND batch = ?",
                (chunk.number, chunk.after, newest, sync_id, chunk.number - 1),
            )
            if not moved.rowcount:
                raise Overtaken(f"Batch {chunk.number} was written by another attempt.")

    def failed_before(self, sync_id: str, limit: int) -> tuple[list[str], int]:
        """Ids of users that an earlier sync could not read and this one has not met, and how many there are."""
        where = "FROM user_error WHERE sync_id <> ?"
        with self._transaction() as db:
            rows = db.execute(f"SELECT user_id {where} ORDER BY user_id LIMIT ?", (sync_id, limit)).fetchall()
            (count,) = db.execute(f"SELECT count(*) {where}", (sync_id,)).fetchone()
            return [user_id for (user_id,) in rows], count

    def finish(self, sync_id: str) -> int:
        """Note that the sync has read everybody; return how many users could not be read."""
        with self._transaction() as db:
            db.execute("UPDATE sync SET finished = 1 WHERE id = ?", (sync_id,))
            (failed,) = db.execute("SELECT count(*) FROM user_error WHERE sync_id = ?", (sync_id,)).fetchone()
            return int(failed)


def _known(db: sqlite3.Connection, users: Sequence[User]) -> int:
    """Count those that the table has in this form."""
    return sum(
        db.execute("SELECT 1 FROM user WHERE id = ? AND updated_at = ?", (user.id, user.updated_at)).fetchone()
        is not None
        for user in users
    )


def _add(figures: dict[str, Any], **more: int) -> None:
    for name, count in more.items():
        figures[name] = figures.get(name, 0) + count
