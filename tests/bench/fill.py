"""Fills a store with the jobs of ninety days, made by the database itself: a million in a minute or so.

Each value is a function of the job's number, so that every fill of a size is the same.
"""

# ruff: noqa: S608  # text and numbers of our own
from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.clock import now_ms
from jobs.store.config import sqlite_path
from jobs.store.database import Dialect
from jobs.store.migrate import Migrator

DAYS = 90
TASKS = 20
QUEUES = 10
OWNERS = 10_000
_PRIME = 2_147_483_647
_BATCH = 250_000

_STACK = "Traceback (most recent call last):\\n" + "\\n".join(
    f'  File \\"/srv/app/tasks/step_{n}.py\\", line {n * 17}, in step_{n}\\n    return follow(step_{n}, order, retry)'
    for n in range(18)
)


def _draw(salt: int, below: int) -> str:
    """A number from 0, as good as random, that depends on the job's number `n`."""
    linear = f"((n * {48_271 + salt * 7_919} + {salt * 104_729 + 11}) % {_PRIME})"
    return f"(({linear} * {linear}) % {_PRIME} % {below})"


def _zipf(salt: int, kinds: int) -> str:
    """A number from 1 of which the smallest are the most frequent."""
    part = f"({_draw(salt, 1_000_000)} / 1000000.0)"
    return f"CAST({part} * {part} * {part} * {part} * {kinds} AS bigint) + 1"


def _pick(number: str, *values: str) -> str:
    cases = " ".join(f"WHEN {n} THEN '{value}'" for n, value in enumerate(values[1:], 1))
    return f"CASE {number} {cases} ELSE '{values[0]}' END"


class _Script:
    """The statements for one dialect."""

    def __init__(self, dialect: Dialect, rows: int, end_ms: int) -> None:
        self._sqlite = dialect == "sqlite"
        self._apart = (
            "LIMIT -1" if self._sqlite else "OFFSET 0"
        )  # so that a value is drawn once, not wherever it is used
        self._rows = rows
        self._begin_ms = end_ms - DAYS * 86_400_000
        self._step_ms = DAYS * 86_400_000 / rows

    def jobs(self, first: int, last: int) -> str:
        values = self._values()
        drawn = ", ".join(f"{text} AS {name}" for name, text in self._drawn().items())
        return (
            f"INSERT INTO job ({', '.join(values)}) SELECT {', '.join(values.values())}"
            f" FROM (SELECT n, {drawn} FROM {self._numbers(first, last)} {self._apart}) AS drawn"
        )

    def later(self) -> list[str]:
        """What belongs to jobs."""
        tags = (
            "json_each(job.tags) AS each"
            if self._sqlite
            else "jsonb_array_elements_text(job.tags::jsonb) AS each(value)"
        )
        return [
            f"INSERT INTO job_tag (tag, job_id) SELECT each.value, job.id FROM job, {tags} ORDER BY 1, 2",
            "INSERT INTO attempt (job_id, run, number, state, worker, started_ms, finished_ms, error)"
            " SELECT job.id, 1, number, CASE WHEN number < attempts OR state = 'DEAD' THEN 'FAILED'"
            " ELSE 'COMPLETED' END, 'worker-1', created_ms + number * 1000, created_ms + number * 1000 + 500, error"
            f" FROM job, {self._table(3)} WHERE number <= attempts AND {self._some('job', 5)} ORDER BY job.id",
            "INSERT INTO log_line (job_id, run, attempt, at_ms, level, message, context)"
            " SELECT id, 1, 1, created_ms + number, (1 + number % 4) * 10,"
            f""" 'Fetched page ' || number || ' of the report', '{{"rows":120}}'"""
            f" FROM job, {self._table(4)} WHERE {self._some('job', 10)} AND state <> 'QUEUED' ORDER BY id",
            # One job that has talked a lot.
            "INSERT INTO log_line (job_id, run, attempt, at_ms, level, message)"
            " SELECT (SELECT max(id) FROM job WHERE state = 'DEAD'), 1, 1, n, CASE WHEN n % 5000 = 0 THEN 40 ELSE 10"
            f" END, 'line ' || n FROM {self._numbers(1, min(100_000, self._rows))}",
            "INSERT INTO quarantine (at_ms, source, ref, reason, record, digest)"
            " SELECT n, 'EVENT', 'ref' || n, 'It is not msgpack.', 'record', 'digest' || n"
            f" FROM {self._numbers(1, 10_000)}",
            "INSERT INTO queue (name, durability, created_ms)"
            " SELECT DISTINCT queue, 'STORE', 0 FROM (SELECT queue FROM job ORDER BY id DESC LIMIT 20000) AS newest",
        ]

    def _numbers(self, first: int, last: int) -> str:
        if self._sqlite:
            return (
                f"(WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL"
                f" SELECT n + 1 FROM numbers WHERE n < {last}) SELECT n FROM numbers) AS numbers"
            )
        return f"generate_series({first}::bigint, {last}::bigint) AS numbers(n)"

    def _table(self, last: int) -> str:
        rows = " UNION ALL ".join(f"SELECT {n} AS number" for n in range(1, last + 1))
        return f"({rows}) AS numbers"

    def _some(self, table: str, share: int) -> str:
        """About one job in `share` of them."""
        return f"{table}.updated_ms % {share} = 0"

    def _hex(self, number: str, digits: int) -> str:
        if self._sqlite:
            return f"printf('%0{digits}x', {number})"
        return f"lpad(to_hex({number}), {digits}, '0')"

    def _drawn(self) -> dict[str, str]:
        newest = self._rows - self._rows // 100
        open_state = _pick(_draw(2, 5), "QUEUED", "ACTIVE", "RETRYING", "SCHEDULED", "QUEUED")
        return {
            "at_ms": f"{self._begin_ms} + CAST(n * {self._step_ms!r} AS bigint)",
            "task_number": f"CASE WHEN {_draw(3, 50_000)} = 0 THEN 99 ELSE {_draw(4, TASKS)} END",
            "astray": _draw(5, 20),
            "state": f"CASE WHEN n > {newest} AND {_draw(6, 2)} = 0 THEN {open_state}"
            f" WHEN {_draw(7, 1000)} = 0 THEN 'SCHEDULED' WHEN {_draw(8, 1000)} < 15 THEN 'DEAD'"
            f" WHEN {_draw(8, 1000)} < 20 THEN 'CANCELLED' ELSE 'COMPLETED' END",
            "owner_number": _zipf(9, OWNERS),
            "user_number": _zipf(10, 1_000_000),
            "failed": _draw(11, 100),
            "part": _draw(12, 1000),
            "code": _draw(13, 1_000_000),
        }

    def _values(self) -> dict[str, str]:
        low = self._hex("code", 12)
        stamp = self._hex("at_ms", 12)
        identity = (
            f"substr({stamp}, 1, 8) || '-' || substr({stamp}, 9, 4) || '-7' || {self._hex('part % 4096', 3)} || '-8'"
            f" || {self._hex('part', 3)} || '-' || {low}"
        )
        ended = "state IN ('COMPLETED', 'DEAD', 'CANCELLED')"
        json = "" if self._sqlite else "::jsonb"
        causes = ("Connection to db-", "Timeout after ", "No such order: ", "Refused by host-", "Quota ")
        message = f"{_pick('failed % 5', *causes)} || user_number"
        locale = _pick("part % 4", "en", "de", "fr", "ja")
        text = f""" CASE part WHEN 7 THEN ',"text":"{"lorem ipsum " * 300}"' ELSE '' END"""
        kind = _pick("failed % 4", "TimeoutError", "ConnectionError", "ValueError", "OrderMissing")
        return {
            "id": identity,
            "task": "CASE task_number WHEN 99 THEN 'yearly' ELSE 'task' || task_number END",
            "queue": f"CASE task_number WHEN 99 THEN 'rare' ELSE"
            f" 'queue' || (CASE WHEN astray = 0 THEN (part % {QUEUES}) ELSE (task_number % {QUEUES}) END) END",
            "state": "state",
            "priority": "CASE WHEN part < 30 THEN 0 WHEN part < 100 THEN 1 WHEN part < 900 THEN 2"
            " ELSE 3 + part % 2 END",
            "args": f"""('{{"user":{{"id":' || user_number || ',"locale":"' || {locale}"""
            """ || '"},"order":"o-' || code || '","amount":' || ((code % 1000) / 10.0) || ',"items":[{"sku":"s-'"""
            """ || part || '","qty":' || (part % 7) || '},{"sku":"s-' || failed || '","qty":1}],"dry":'"""
            f""" || CASE part % 9 WHEN 0 THEN 'true' ELSE 'false' END || {text} || '}}'){json}""",
            "version": "CASE state WHEN 'QUEUED' THEN CASE part % 20 WHEN 0 THEN 0 ELSE 1000001 END ELSE 1000003 END",
            "attempts": "CASE WHEN state IN ('QUEUED', 'SCHEDULED') THEN 0 WHEN state = 'DEAD' THEN 3"
            " WHEN failed < 5 THEN 2 ELSE 1 END",
            "max_attempts": "3",
            "backoff": "'{}'",
            "timeout_s": "300",
            "durability": "'STORE'",
            "owner": "CASE WHEN failed >= 90 THEN NULL ELSE 'user' || owner_number END",
            "tags": """'["' || CASE WHEN part < 300 THEN 'common","' ELSE '' END"""
            """ || CASE WHEN code < 10 THEN 'rare","' WHEN code < 1000 THEN 'seldom","' ELSE '' END"""
            """ || 'batch-' || (n / 5000) || '","region-' || (failed % 4) || '"]'""",
            "metadata": f"""('{{"trace":"t-' || code || '","tenant":"' || (owner_number % 50) || '"}}'){json}""",
            "key": "CASE WHEN failed < 20 THEN 'key-' || code ELSE NULL END",
            "retry_of": f"CASE WHEN part < 5 THEN 'parent-' || (code % {max(1, self._rows // 1000)}) ELSE NULL END",
            "result": """CASE state WHEN 'COMPLETED' THEN '{"sent":' || part || '}' ELSE NULL END""",
            "reason": "CASE state WHEN 'DEAD' THEN CASE WHEN failed < 80 THEN 'ATTEMPTS_EXHAUSTED' WHEN failed < 99"
            " THEN 'NOT_RETRYABLE' ELSE 'POISON' END ELSE NULL END",
            "error": f"""CASE WHEN state IN ('DEAD', 'RETRYING') THEN '{{"type":"' || {kind}"""
            f""" || '","message":"' || {message} || '","stack":"{_STACK}"}}' ELSE NULL END""",
            "worker": "CASE state WHEN 'QUEUED' THEN NULL ELSE 'worker-' || (failed % 8) END",
            "created_ms": "at_ms",
            "updated_ms": "at_ms + part",
            "due_ms": "CASE WHEN state IN ('SCHEDULED', 'RETRYING') THEN at_ms + 86400000 ELSE NULL END",
            "started_ms": "CASE WHEN state IN ('QUEUED', 'SCHEDULED') THEN NULL ELSE at_ms + part / 10 END",
            "finished_ms": f"CASE WHEN {ended} THEN at_ms + part ELSE NULL END",
        }

    def batches(self) -> Iterator[str]:
        for first in range(1, self._rows + 1, _BATCH):
            yield self.jobs(first, min(first + _BATCH - 1, self._rows))


async def fill(url: str, rows: int) -> None:
    """Migrate the database and, where it has no jobs yet, fill it with `rows` of them."""
    await Migrator().migrate(url)
    path = sqlite_path(url)
    if path is None:
        await _fill_postgres(url, rows)
    else:
        _fill_sqlite(str(path), rows)


def _fill_sqlite(path: str, rows: int) -> None:
    script = _Script("sqlite", rows, now_ms())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if connection.execute("SELECT 1 FROM job LIMIT 1").fetchone():
            return
        for begin in ("PRAGMA synchronous=OFF", "PRAGMA cache_size=-1000000", "PRAGMA temp_store=MEMORY", "BEGIN"):
            connection.execute(begin)
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'job' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        for statement in (*script.batches(), *(sql for _, sql in indexes), *script.later()):
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgres(url: str, rows: int) -> None:
    script = _Script("postgres", rows, now_ms())
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SELECT 1 FROM job LIMIT 1"):
            return
        await connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '512MB'; SET jit = off")
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'job' AND indexname NOT LIKE '%pkey'"
        )
        async with connection.transaction():
            for row in indexes:
                await connection.execute(f'DROP INDEX "{row["indexname"]}"')
            for statement in (*script.batches(), *(row["indexdef"] for row in indexes), *script.later()):
                await connection.execute(statement)
        for table in ("job", "job_tag", "attempt", "log_line", "quarantine"):
            await connection.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table}")
    finally:
        await connection.close()
