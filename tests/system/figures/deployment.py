"""The product as it is deployed, such that its databases can be watched from outside."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from tests.databases import run_sql
from tests.system.chaos.embedded import Embedded
from tests.system.chaos.replicated import Replicated, Slot
from tests.system.figures import trace
from tests.system.figures.task import VARIABLE
from tests.system.figures.trace.sitecustomize import DATABASE, DRIVER
from tests.tcp_proxy import TcpProxy

SLOW_MS = 200.0
RENEW_S = 4.0
"""How often a worker says how it is: /proc counts hundredths of a second, and over a second that is little."""


def environ(folder: Path, every_s: float) -> dict[str, str]:
    return {
        "QUEUEQL_TASKS": "tests.system.figures.task",
        "QUEUEQL_SNAPSHOT_EVERY_S": str(every_s),
        "QUEUEQL_SLOW_QUERY_MS": str(SLOW_MS),
        "QUEUEQL_LEASE_S": "10",
        "QUEUEQL_RENEW_S": str(RENEW_S),
        VARIABLE: str(folder / "blocked"),
        "PYTHONPATH": str(Path(trace.__file__).parent),
        DRIVER: str(folder / "times"),
    }


class _Straight(TcpProxy):
    """The way to a server without anything between, so that the sockets of a process are those that the server sees."""

    @property
    def url(self) -> str:
        return self._target.geturl()


class BusyEmbedded(Embedded):
    """Everything in one tree of processes; SQLite tells how long every statement took."""

    without = frozenset({"DATABASE_CONNECTIONS", "DATABASE_CONNECTIONS_ACTIVE", "DATABASE_CONNECTIONS_MAX"})
    """Figures that there are none of."""

    def __init__(self, folder: Path, every_s: float) -> None:
        self.every_s = every_s
        self.statements, self.times = folder / "statements", folder / "times"
        self.statements.mkdir()
        self.times.mkdir()
        super().__init__(folder)

    def environ(self) -> dict[str, str]:
        return super().environ() | environ(self.folder, self.every_s) | {DATABASE: str(self.statements)}

    @property
    def database(self) -> Path:
        """SQLite's file."""
        return self.data / "queueql.db"


class BusyReplicated(Replicated):
    """Two of each process; PostgreSQL logs every statement, and asyncpg tells how long it took."""

    without = frozenset({"DATABASE_FREE_BYTES", "DATABASE_WAL_BYTES"})

    def __init__(self, folder: Path, every_s: float) -> None:
        self.every_s = every_s
        self.times = folder / "times"
        self.times.mkdir()
        super().__init__(folder)
        self.statements = Path(tempfile.mkdtemp(prefix="qq-statements-"))
        self.statements.chmod(0o777)  # PostgreSQL is somebody else

    def environ(self) -> dict[str, str]:
        return super().environ() | environ(self.folder, self.every_s)

    def _migrate(self) -> None:
        options = {
            "logging_collector": "on",
            "log_destination": "jsonlog",
            "log_directory": str(self.statements),
            "log_filename": "%Y%m%d%H%M%S.log",
            "log_rotation_size": "16MB",
            "log_min_duration_statement": "0",
            "log_parameter_max_length": "0",
            "log_timezone": "UTC",
        }
        for name, value in options.items():
            asyncio.run(run_sql(self._sql.url, f"ALTER SYSTEM SET {name} = '{value}'"))
        self._sql.restart()
        super()._migrate()

    def _fill(self, slot: Slot) -> None:
        slot.links["sql"] = _Straight(self.sql_url)
        super()._fill(slot)

    async def stop(self) -> None:
        await super().stop()
        shutil.rmtree(self.statements)


def deployment(kind: str, folder: Path, every_s: float) -> BusyEmbedded | BusyReplicated:
    """Make the product, which takes snapshots so often."""
    return BusyEmbedded(folder, every_s) if kind == "embedded" else BusyReplicated(folder, every_s)
