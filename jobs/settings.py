"""Every setting of QueueQL: `QUEUEQL_` variables of the environment, read once at the start of a process."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.errors import SettingInvalid

PREFIX = "QUEUEQL_"
TOKEN_FILE = "admin-token"  # noqa: S105  # the name of a file
"""In the data folder: the admin token that `queueql up` made up."""
ADDRESS_FILE = "address"
"""In the data folder: the URL of the API while `queueql up` runs it."""

_SCHEMES = {
    "redis_url": ("redis://", "rediss://", "unix://"),
    "database_url": ("sqlite://", "postgres://", "postgresql://"),
    "url": ("http://", "https://"),
}
_FALLBACK = {"REDIS_URL": "redis_url", "DATABASE_URL": "database_url"}


class Settings(BaseSettings):
    """What a process needs to know before it starts. Durations are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names that the API is reached by, beside `localhost`, the host above and addresses."""
    data: Path = Path(".queueql")
    """Folder of the embedded database and Redis."""
    tasks: Annotated[tuple[str, ...], NoDecode] = ()
    """Modules that register tasks."""
    queues: Annotated[tuple[str, ...], NoDecode] = ()
    """Queues that a worker serves; empty: the queues of its tasks, and `default`."""
    workers: int = Field(default=1, ge=0, le=64)
    """Worker processes that `up` starts."""
    concurrency: int = Field(default=100, ge=1, le=10_000)
    """Jobs that one worker process runs at a time."""
    redis_url: str = ""
    """Empty: the embedded server. `redis://`, `rediss://` (TLS) or `unix://`."""
    database_url: str = ""
    """Empty: SQLite in the data folder. `sqlite:///path` or `postgres://user:password@host:port/name`."""
    admin_token: str = ""
    """When set, the first admin token has this value."""
    url: str = ""
    """Where the command line finds the API; empty: at the host and port above."""
    token: str = ""
    """What the command line signs in with; empty: the admin token, where the API is on this machine."""
    lease_s: float = Field(default=10.0, ge=1.0)
    """A worker that has not renewed its lease for so long has lost its jobs."""
    renew_s: float = Field(default=1.0, gt=0.0)
    grace_s: float = Field(default=20.0, ge=0.0)
    """How long a stopping worker lets its jobs run before it gives them back."""
    replay_window_s: float = Field(default=600.0, ge=1.0)
    """How long events stay readable for subscribers that come back."""
    events_max_bytes: int = Field(default=268_435_456, ge=65_536)
    """Memory of Redis that events may take; at most a quarter of its maxmemory. The replay window gives way to it.

    Where events that are not recorded yet reach it, no jobs are started until they are.
    """
    payload_max_bytes: int = Field(default=1_048_576, ge=1_024)
    """Largest arguments of one job, as JSON."""
    disk_min_bytes: int = Field(default=134_217_728, ge=0)
    """SQLite: below so much free space in its folder no new job is accepted, so that those that run may end."""
    slow_query_ms: float = Field(default=200.0, ge=0.0)
    """A statement that takes the database so long is counted as slow, logged, and listed in `slowQueries`."""
    operation_timeout_s: float = Field(default=30.0, gt=0.0)
    """A query or mutation that takes longer is answered with DEADLINE_EXCEEDED; a mutation goes on to its end."""
    documents: Path | None = None
    """JSON file of trusted documents, text by name, as relay-compiler and graphql-codegen write it."""
    documents_only: bool = False
    """Whether the API runs trusted documents only. GraphiQL and the command line need another `api` process then."""
    drain_s: float = Field(default=0.0, ge=0.0)
    """How long a stopping API goes on, not ready and closing connections, so that a load balancer looks elsewhere."""
    probe_port: int = Field(default=0, ge=0, le=65535)
    """Port, on the host above, where `api`, `worker` and `services` answer /livez, /readyz and /health; 0: none.

    The processes that `up` starts have none: it watches them itself.
    """
    health_wait_max_s: float = Field(default=300.0, gt=0.0)
    """A queue in which a job that could run has waited for longer is degraded."""
    snapshot_every_s: float = Field(default=300.0, ge=1.0)
    """How often the figures of the whole system are written down, besides at the start of the services."""
    report_every_s: float = Field(default=600.0, ge=0.0)
    """How often they are written into the log of the services, as one line; 0: never."""
    metrics_open: bool = False
    """Whether /metrics and /health/queues answer without a token. They name queues, tasks and workers."""
    backup_dir: Path | None = None
    """Folder that backups are made in; empty: `backups` in the data folder."""
    backup_every_s: float = Field(default=0.0, ge=0.0)
    """How often the services make a backup, and verify it by restoring it into a scratch place; 0: never."""
    backup_keep: int = Field(default=7, ge=1, le=1_000)
    """So many of the backups that the services made are kept; older ones are removed once a newer one is verified."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """From which level on QueueQL logs what it does (`up`: from WARNING on). Loggers of your own: from INFO on."""
    log_json: bool = False
    """Process logs as JSON lines, for machines."""

    @property
    def token_file(self) -> Path:
        """Where `queueql up` keeps the admin token that it made up."""
        return self.data / TOKEN_FILE

    @property
    def address_file(self) -> Path:
        """Where `queueql up` says which URL its API has."""
        return self.data / ADDRESS_FILE

    @property
    def backup_folder(self) -> Path:
        """Where backups are made."""
        return self.backup_dir or self.data / "backups"

    @field_validator("tasks", "queues", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("redis_url", "database_url", "url")
    @classmethod
    def _check_scheme(cls, value: str, info: ValidationInfo) -> str:
        schemes = _SCHEMES[str(info.field_name)]
        if value and not value.startswith(schemes):
            raise PydanticCustomError("scheme", "a URL begins with {these}", {"these": " or ".join(schemes)})
        return value


def load(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the settings. Raises SettingInvalid for an unknown name or a bad value, with what would be allowed.

    `overrides` are options of the command line; None means not given.
    """
    environ = os.environ if environ is None else environ
    names = set(Settings.model_fields)
    values: dict[str, object] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in names:
            raise SettingInvalid(f"{variable} is not a setting of QueueQL.{_suggestion(name, names)}")
        values[name] = text
    for variable, name in _FALLBACK.items():
        if environ.get(variable) and not values.get(name):
            values[name] = environ[variable]
    if not values.get("redis_url") and environ.get("REDIS_HOST"):
        values["redis_url"] = _redis_url(environ)
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        return Settings(**values)  # type: ignore[arg-type]  # pydantic coerces and checks the values
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]) if fault["loc"] else "?"
        given = repr(fault.get("input"))
        if name in _SCHEMES:  # the rest of it may be a password
            given = repr(str(fault.get("input")).partition("://")[0][:20])
        raise SettingInvalid(f"{PREFIX}{name.upper()}: {fault['msg']} (given: {given}).") from None


def _redis_url(environ: Mapping[str, str]) -> str:
    password = environ.get("REDIS_PASSWORD", "")
    credentials = f":{quote(password, safe='')}@" if password else ""
    host, port = environ["REDIS_HOST"], environ.get("REDIS_PORT", "6379")
    return f"redis://{credentials}{host}:{port}/{environ.get('REDIS_DB', '0')}"


def _suggestion(name: str, names: set[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {PREFIX}{close[0].upper()}?" if close else ""
