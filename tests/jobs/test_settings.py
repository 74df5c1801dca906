from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import SettingInvalid
from jobs.settings import load


def test_nothing_set_gives_an_embedded_start_on_loopback() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8000, Path(".queueql"))
    assert settings.redis_url == settings.database_url == ""


def test_variables_are_read_and_options_win() -> None:
    environ = {"QUEUEQL_PORT": "9000", "QUEUEQL_HOST": "0.0.0.0", "QUEUEQL_TASKS": "a.tasks, b.tasks,"}  # noqa: S104  # nothing listens
    settings = load(environ, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")  # noqa: S104  # as above
    assert settings.tasks == ("a.tasks", "b.tasks")


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(SettingInvalid, match=r"QUEUEQL_PROT is not a setting.*Did you mean QUEUEQL_PORT\?"):
        load({"QUEUEQL_PROT": "9000"})


def test_an_unknown_name_without_a_close_one_is_refused_all_the_same() -> None:
    with pytest.raises(SettingInvalid, match=r"QUEUEQL_XYZZY is not a setting of QueueQL\.$"):
        load({"QUEUEQL_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("PORT", "70000"), ("WORKERS", "-1"), ("LEASE_S", "0"), ("CONCURRENCY", "0"), ("LOG_JSON", "x")],
)
def test_a_bad_value_is_refused_with_the_variable_and_what_was_given(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=rf"QUEUEQL_{name}: .*given: '{value}'"):
        load({f"QUEUEQL_{name}": value})


@pytest.mark.parametrize(
    ("name", "url", "allowed"),
    [
        ("REDIS_URL", "foo://x", "redis:// or rediss:// or unix://"),
        ("REDIS_URL", "localhost:6379", "redis:// or rediss:// or unix://"),
        ("DATABASE_URL", "mysql://x", "sqlite:// or postgres:// or postgresql://"),
    ],
)
def test_a_url_of_something_else_is_refused(name: str, url: str, allowed: str) -> None:
    for variable in (f"QUEUEQL_{name}", name):
        with pytest.raises(SettingInvalid, match=rf"^QUEUEQL_{name}: a URL begins with {allowed} \(given: '\w"):
            load({variable: url})


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingInvalid) as refusal:
        load({"QUEUEQL_REDIS_URL": "rdis://:secret@host"})
    assert "secret" not in str(refusal.value)


def test_variables_of_hosting_platforms_are_a_fallback() -> None:
    assert load({"REDIS_URL": "redis://one"}).redis_url == "redis://one"
    assert load({"REDIS_URL": "redis://one", "QUEUEQL_REDIS_URL": "redis://two"}).redis_url == "redis://two"
    assert load({"DATABASE_URL": "postgres://one/name"}).database_url == "postgres://one/name"


def test_redis_can_be_given_in_parts() -> None:
    environ = {"REDIS_HOST": "r", "REDIS_PORT": "6380", "REDIS_PASSWORD": "pw", "REDIS_DB": "2"}
    assert load(environ).redis_url == "redis://:pw@r:6380/2"
    assert load({"REDIS_HOST": "r"}).redis_url == "redis://r:6379/0"


def test_a_password_with_special_characters_stays_one_password() -> None:
    assert load({"REDIS_HOST": "r", "REDIS_PASSWORD": "p@s:/w%"}).redis_url == "redis://:p%40s%3A%2Fw%25@r:6379/0"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load({}).port = 1
