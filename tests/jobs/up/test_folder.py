from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.embedded import EmbeddedRedis
from jobs.errors import DataFolderTaken, RedisUnreachable, SettingInvalid
from jobs.settings import Settings
from jobs.up.folder import DataFolder, resolve


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_folder_and_the_token(folder: Path) -> None:
    data = DataFolder(folder / "deep" / "data")
    data.take()
    data.keep_token("secret")
    assert mode(data.path) == 0o700
    assert mode(data.token_file) == 0o600
    assert data.read_token() == "secret"
    data.release()


def test_a_token_file_that_others_could_read_is_closed(folder: Path) -> None:
    data = DataFolder(folder)
    data.token_file.write_text("old")
    data.token_file.chmod(0o644)
    data.keep_token("new")
    assert mode(data.token_file) == 0o600


def test_the_folder_is_kept_out_of_version_control(folder: Path) -> None:
    DataFolder(folder).make()
    assert (folder / ".gitignore").read_text() == "*\n"


def test_one_at_a_time(folder: Path) -> None:
    first, second = DataFolder(folder), DataFolder(folder)
    first.take()
    with pytest.raises(DataFolderTaken, match=f"Another QueueQL is running on the data folder {folder}"):
        second.take()
    first.release()
    second.take()
    second.release()


def test_a_folder_that_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(SettingInvalid, match="cannot be used"):
        DataFolder(folder / "file" / "data").take()


async def test_processes_find_the_servers_of_the_folder(folder: Path) -> None:
    settings = Settings(data=folder)
    with pytest.raises(RedisUnreachable, match="No Redis runs on the data folder"):
        resolve(settings)
    server = EmbeddedRedis(DataFolder(folder).redis)
    await server.start()
    found = resolve(settings)
    assert found.redis_url == server.url
    assert found.database_url == f"sqlite://{folder}/queueql.db"
    await server.stop()


def test_servers_that_are_named_are_left_alone() -> None:
    settings = Settings(redis_url="redis://r", database_url="postgres://p/n")
    assert resolve(settings) == settings
