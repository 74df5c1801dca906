"""The catalogue: what tasks workers have published. The newest definition wins; nothing is removed by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from jobs.clock import Clock
from jobs.store.bulk import Column, Insert
from jobs.store.database import Database
from jobs.store.mend import TASK, Reader
from jobs.store.quarantine import Quarantine
from jobs.task import TaskDefinition

_definition = msgspec.json.Decoder(TaskDefinition)
_UPSERT = Insert(
    "task",
    (Column("name"), Column("hash"), Column("definition"), Column("published_ms", "bigint")),
    "ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, definition = excluded.definition,"
    " published_ms = excluded.published_ms WHERE task.hash <> excluded.hash",
)


class Catalogue:
    """Published tasks. All methods raise StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock, quarantine: Quarantine) -> None:
        self._database = database
        self._clock = clock
        self._quarantine = quarantine

    async def publish(self, definitions: Sequence[TaskDefinition]) -> bool:
        """Publish definitions; return whether anything changed."""
        now_ms = self._clock()
        rows = {task.name: (task.name, task.hash(), msgspec.json.encode(task).decode(), now_ms) for task in definitions}
        known = {row["name"]: row["hash"] for row in await self._database.fetch("SELECT name, hash FROM task")}
        changed = sorted(row for row in rows.values() if known.get(row[0]) != row[1])
        if not changed:
            return False  # the usual case, when a worker starts again, needs no write
        async with self._database.transaction() as transaction:
            return await _UPSERT.run(transaction, changed) > 0

    async def tasks(self) -> list[TaskDefinition]:
        """Return all definitions that can be read, by name."""
        rows = await self._database.fetch("SELECT name, definition FROM task")
        reader = Reader(TASK, lambda row: _definition.decode(row["definition"]))
        tasks = reader.all(sorted(rows, key=lambda row: str(row["name"])))
        await self._quarantine.note(reader.damaged)
        return tasks

    async def has_tasks(self) -> bool:
        """Tell whether anything was ever published."""
        return bool(await self._database.fetch("SELECT 1 FROM task LIMIT 1"))

    async def version(self) -> str:
        """Return a text that changes when any definition does."""
        rows = await self._database.fetch("SELECT name, hash FROM task")
        lines = sorted(f"{row['name']} {row['hash']}" for row in rows)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
