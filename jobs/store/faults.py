"""Which faults of the drivers mean that the database is not available; all others are bugs and pass as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from jobs.errors import DiskFull, StoreUnavailable

_SQLITE = {
    sqlite3.SQLITE_BUSY: "it is locked by another process",
    sqlite3.SQLITE_LOCKED: "it is locked by another process",
    sqlite3.SQLITE_PROTOCOL: "it is locked by another process",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOTADB: "its file is not a SQLite database",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}
BROKEN = (
    asyncpg.PostgresConnectionError,  # 08: the connection broke
    asyncpg.InterfaceError,  # used after it broke
    asyncpg.InternalClientError,  # used while it breaks
    asyncpg.AdminShutdownError,  # 57P01: the server closes it
    asyncpg.CrashShutdownError,  # 57P02
    OSError,
)
"""Faults of one connection: another one may work."""
_POSTGRES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,  # 53: disk, memory or connections used up
    asyncpg.OperatorInterventionError,  # 57: shut down, starting, cancelled
    asyncpg.TransactionRollbackError,  # 40: deadlock, serialisation
    asyncpg.LockNotAvailableError,  # 55P03: lock_timeout
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a standby after a failover
    asyncpg.PostgresSystemError,  # 58: I/O error of the server
)


@contextmanager
def sqlite_faults() -> Iterator[None]:
    """Raise StoreUnavailable in place of SQLite's own error where the file cannot be read or written now."""
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull("The disk of the database is full; nothing more is accepted until there is room.") from error
        why = _SQLITE.get(code)
        if why is None:
            raise
        raise StoreUnavailable(f"The database does not answer, because {why}.") from error


@contextmanager
def connecting() -> Iterator[None]:
    """Raise StoreUnavailable for whatever keeps a connection from being made."""
    with postgres_faults():
        try:
            yield
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(f"The database cannot be connected to: {_text(error)}") from error


@contextmanager
def postgres_faults() -> Iterator[None]:
    """Raise StoreUnavailable in place of asyncpg's own error where the server cannot serve now."""
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise DiskFull(f"The disk of the database server is full: {_text(error)}") from error
    except _POSTGRES as error:
        raise StoreUnavailable(f"The database does not answer: {_text(error)}") from error
    except TimeoutError as error:
        raise StoreUnavailable("The database does not answer in time.") from error
    except OSError as error:
        raise StoreUnavailable(f"The database cannot be reached: {_text(error)}") from error


def _text(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return f"{text or type(error).__name__}."
