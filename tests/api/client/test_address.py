"""Where the API is and who asks: the token of this machine goes nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from api.client.address import find
from jobs.errors import SettingInvalid
from jobs.up.folder import DataFolder


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("QUEUEQL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(folder)


@pytest.fixture
def kept(folder: Path) -> str:
    """The token that `queueql up` left in the data folder."""
    (folder / ".queueql").mkdir()
    (folder / ".queueql" / "admin-token").write_text("kept\n")
    return "kept"


def test_nothing_is_needed_beside_a_running_up(kept: str) -> None:
    address = find()
    assert (address.endpoint, address.token) == ("http://127.0.0.1:8000/graphql", kept)


def test_an_up_on_another_port_is_found(kept: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataFolder(folder / ".queueql")
    data.keep_address("http://10.0.0.1:8123")
    assert (find().url, find().token) == ("http://10.0.0.1:8123", kept)
    assert find("http://127.0.0.1:9000").url == "http://127.0.0.1:9000"
    monkeypatch.setenv("QUEUEQL_PORT", "9000")
    assert find().url == "http://127.0.0.1:9000"
    monkeypatch.delenv("QUEUEQL_PORT")
    data.forget_address()
    assert find().url == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"QUEUEQL_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"QUEUEQL_HOST": "0.0.0.0"}, "http://127.0.0.1:8000"),  # noqa: S104  # nothing listens here
        ({"QUEUEQL_HOST": "::1"}, "http://[::1]:8000"),
        ({"QUEUEQL_URL": "https://jobs.example/"}, "https://jobs.example"),
        ({"QUEUEQL_URL": "https://jobs.example/q/graphql"}, "https://jobs.example/q"),
    ],
)
def test_where_the_api_is(environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert find().url == url


def test_options_come_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUEQL_URL", "http://a:1")
    monkeypatch.setenv("QUEUEQL_TOKEN", "a")
    assert find().token == "a"
    address = find("http://b:2", "b")
    assert (address.url, address.token) == ("http://b:2", "b")


@pytest.mark.usefixtures("kept")
def test_the_tokens_of_this_machine_go_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("http://jobs.example").token == ""
    assert find("http://localhost:8000").token == "kept"
    assert find("http://[::1]:8000").token == "kept"
    monkeypatch.setenv("QUEUEQL_ADMIN_TOKEN", "admin")
    assert find("http://jobs.example").token == ""
    assert find("http://127.0.0.1:8000").token == "admin"
    monkeypatch.setenv("QUEUEQL_TOKEN", "mine")
    assert find("http://jobs.example").token == "mine"


@pytest.mark.parametrize(
    "url", ["jobs.example", "http://", "http://a:b", "http://u:secret@a", "http://a?x=1", "http://a:0"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        find(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\nb", "ä", "a\x00"])
def test_what_is_no_token_is_not_repeated(token: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        find(token=token)
    assert token not in str(caught.value)


def test_a_token_file_that_cannot_be_read(folder: Path) -> None:
    (folder / ".queueql" / "admin-token").mkdir(parents=True)
    with pytest.raises(SettingInvalid, match="cannot be read: Is a directory"):
        find()
