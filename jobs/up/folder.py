"""The data folder of an embedded QueueQL: what is in it, and that only one runs on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from jobs.embedded import hold, socket_of
from jobs.errors import RedisUnreachable, SettingInvalid
from jobs.settings import ADDRESS_FILE, TOKEN_FILE, Settings
from jobs.store.config import database_url

MODE_FOLDER = 0o700
MODE_FILE = 0o600


class DataFolder:
    """`.queueql`, or what --data names. Readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def redis(self) -> Path:
        """Folder of the embedded Redis."""
        return self.path / "redis"

    @property
    def token_file(self) -> Path:
        """Holds the admin token."""
        return self.path / TOKEN_FILE

    @property
    def address_file(self) -> Path:
        """Holds the URL of the API, so that commands find it on whatever port it is."""
        return self.path / ADDRESS_FILE

    def keep_address(self, url: str) -> None:
        """Say where the API is."""
        self.address_file.write_text(url + "\n", encoding="ascii")

    def forget_address(self) -> None:
        """Say nothing any more about where the API is."""
        self.address_file.unlink(missing_ok=True)

    def make(self) -> None:
        """Make the folder where there is none. Raises SettingInvalid where that is not possible."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=MODE_FOLDER)
            self.path.chmod(MODE_FOLDER)
            (self.path / ".gitignore").write_text("*\n", encoding="ascii")
        except OSError as error:
            raise SettingInvalid(f"The data folder {self.path} cannot be used: {error.strerror}.") from None

    def take(self) -> None:
        """Make the folder and keep others off it. Raises DataFolderTaken and SettingInvalid."""
        self.make()
        self._lock = hold(self.path / "lock", self.path)

    def release(self) -> None:
        """Let another one use the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def read_token(self) -> str:
        """Return the admin token that was kept, or empty."""
        try:
            return self.token_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""

    def keep_token(self, token: str) -> None:
        """Keep the admin token for later starts, readable by the owner only."""
        descriptor = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE_FILE)
        os.fchmod(descriptor, MODE_FILE)  # where the file was there before
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")


def resolve(settings: Settings) -> Settings:
    """Fill in the servers that no setting names: those in the data folder, where `queueql up` runs them.

    Raises RedisUnreachable where nothing runs there.
    """
    folder = DataFolder(settings.data)
    update = {"database_url": database_url(settings)}
    if not settings.redis_url:
        socket = socket_of(folder.redis)
        if not socket.exists():
            raise RedisUnreachable(
                f"No Redis runs on the data folder {folder.path}: start `queueql up`, or set QUEUEQL_REDIS_URL."
            )
        update["redis_url"] = f"unix://{socket}"
    return settings.model_copy(update=update)
