"""Reading rows of which a part cannot be read: they are shown without it, and the part goes into quarantine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from jobs.job import AttemptState, Durability, LogLevel, Priority, Reason
from jobs.quarantine import Source, Unreadable, unreadable
from jobs.store.database import Row
from jobs.store.quarantine import DAMAGE
from jobs.store.rows import JOB_NAMES, backoff_of, failure_of, progress_of, tags_of

T = TypeVar("T")

MISSING = '{"unreadable":true}'
"""What is shown in the place of arguments and the like."""
_FAILURE = '{"type":"UNREADABLE","message":"What is stored of this error cannot be read."}'


class Part(msgspec.Struct, frozen=True):
    """A column that may be damaged: how it is read, and what stands for it where that fails."""

    read: Callable[[Any], Any]
    instead: Any


class Kind(msgspec.Struct, frozen=True):
    """Rows of one table."""

    source: Source
    id: str
    """The column that tells whose row it is."""
    columns: tuple[str, ...]
    parts: Mapping[str, Part]


JOB = Kind(
    Source.JOB,
    "id",
    tuple(JOB_NAMES.split(", ")),
    {
        "args": Part(orjson.loads, MISSING),
        "priority": Part(Priority, int(Priority.NORMAL)),
        "backoff": Part(backoff_of, "{}"),
        "durability": Part(Durability, str(Durability.STORE)),
        "tags": Part(tags_of, "[]"),
        "metadata": Part(orjson.loads, MISSING),
        "progress": Part(progress_of, None),
        "result": Part(orjson.loads, MISSING),
        "reason": Part(Reason, None),
        "error": Part(failure_of, _FAILURE),
    },
)
UNFINISHED = Kind(
    JOB.source,
    JOB.id,
    (*JOB.columns, "payload_bytes"),
    {name: part for name, part in JOB.parts.items() if name != "args"},
)
"""Jobs that are to run: never with other arguments than their own. The worker refuses those that it cannot read."""
ATTEMPT = Kind(
    Source.ATTEMPT,
    "job_id",
    ("job_id", "run", "number", "state", "worker", "started_ms", "finished_ms", "error", "cpu_us"),
    {"error": Part(failure_of, _FAILURE), "state": Part(AttemptState, str(AttemptState.LOST))},
)
LOG_LINE = Kind(
    Source.LOG_LINE,
    "job_id",
    ("id", "job_id", "run", "attempt", "at_ms", "level", "message", "context", "stack"),
    {"context": Part(orjson.loads, MISSING), "level": Part(LogLevel, int(LogLevel.INFO))},
)
TASK = Kind(Source.TASK, "name", ("name", "definition"), {})


class Reader(Generic[T]):
    """Reads the rows of one answer with `read`; `damaged` is what it could not read."""

    def __init__(self, kind: Kind, read: Callable[[Row], T]) -> None:
        self._kind = kind
        self._read = read
        self.damaged: list[Unreadable] = []

    def all(self, rows: Sequence[Row]) -> list[T]:
        """Read rows, without those of which nothing can be shown."""
        return [item for row in rows if (item := self(row)) is not None]

    def __call__(self, row: Row) -> T | None:
        """Read a row; None where nothing of it can be shown."""
        try:
            return self._read(row)
        except DAMAGE as error:
            return self._mend(row, error)

    def _mend(self, row: Row, error: Exception) -> T | None:
        kind = self._kind
        ref = str(row[kind.id])
        values = {name: row[name] for name in self._names(row)}
        for name, part in kind.parts.items():
            if values.get(name) is None:
                continue
            try:
                part.read(values[name])
            except DAMAGE as fault:
                self.damaged.append(unreadable(kind.source, ref, f"{name}: {fault}", str(values[name])))
                values[name] = part.instead
        try:
            return self._read(values)  # type: ignore[arg-type]  # it is read by name only
        except DAMAGE:
            whole = msgspec.json.encode(values, enc_hook=repr).decode()
            self.damaged.append(unreadable(kind.source, ref, error, whole))
            return None

    def _names(self, row: Row) -> list[str]:
        """Return the columns of the kind that were asked for."""
        names: list[str] = []
        for name in self._kind.columns:
            try:
                row[name]
            except (KeyError, IndexError):
                continue
            names.append(name)
        return names
