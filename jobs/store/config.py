"""Which database: from its URL to what Tortoise and aerich are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.errors import SettingInvalid
from jobs.settings import Settings, load

ALIAS = "queueql"
"""Tortoise's name of our connection; not `default`, so that a task's own Tortoise is not disturbed."""
APP = "models"
FILE = "queueql.db"
_POSTGRES = ("postgres://", "postgresql://")
_SQLITE = "sqlite://"


def database_url(settings: Settings) -> str:
    """URL of the configured database: SQLite in the data folder unless one is given."""
    return settings.database_url or f"{_SQLITE}{(settings.data / FILE).resolve()}"


def sqlite_path(url: str) -> Path | None:
    """Path of the file where the URL is one of SQLite: `sqlite:///absolute/path` or `sqlite://relative/path`.

    Raises SettingInvalid for a URL of neither database.
    """
    if url.startswith(_POSTGRES):
        return None
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or path.strip("/") in ("", ":memory:"):
        raise SettingInvalid(
            "QUEUEQL_DATABASE_URL: give sqlite:///path/to/file or postgres://user:password@host:port/name."
        )
    return Path("/" + path.lstrip("/")) if path.startswith("/") else Path(path)


def tortoise_config(url: str) -> dict[str, Any]:
    """Tortoise's configuration for the database. Raises SettingInvalid."""
    path = sqlite_path(url)
    if path is None:
        connection: dict[str, Any] = {"engine": "jobs.store.postgres", "credentials": {"dsn": url}}
    else:
        connection = {"engine": "jobs.store.sqlite", "credentials": {"file_path": str(path)}}
    return {
        "connections": {ALIAS: connection},
        "apps": {APP: {"models": ["jobs.store.models", "aerich.models"], "default_connection": ALIAS}},
    }


def __getattr__(name: str) -> Any:
    # aerich reads TORTOISE_ORM (pyproject.toml); only then the environment is looked at.
    if name == "TORTOISE_ORM":
        return tortoise_config(database_url(load()))
    raise AttributeError(name)
