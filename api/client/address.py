"""Where the API is, and who asks: from options, the environment, and the data folder of a `queueql up` beside us."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from jobs.errors import SettingInvalid
from jobs.settings import Settings, load

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what a server listens on, nobody connects to


@dataclass(frozen=True, repr=False)
class Address:
    """An API and the token for it. Never printed as a whole."""

    url: str
    """Without a path at its end."""
    token: str
    """Empty where there is none."""
    source: str
    """Where the token is from, for people."""

    @property
    def endpoint(self) -> str:
        """The URL of GraphQL."""
        return f"{self.url}/graphql"


def find(url: str | None = None, token: str | None = None) -> Address:
    """Resolve the options of a command. Raises SettingInvalid.

    The admin token of this machine is sent to this machine only.
    """
    settings = load(None, url=url, token=token)
    beside = _beside(settings)
    base = beside or _base(settings)
    secret, source = _token(settings, is_near=bool(beside) or _is_near(base, settings))
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise SettingInvalid(f"The token from {source} is none: it has characters that no token has.")
    return Address(base, secret, source)


def _beside(settings: Settings) -> str:
    """Return where the `queueql up` of the data folder says that its API is; empty where something else is said."""
    if {"url", "host", "port"} & settings.model_fields_set:
        return ""
    try:
        return settings.address_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _base(settings: Settings) -> str:
    if not settings.url:
        host = _EVERYWHERE.get(settings.host, settings.host)
        return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    try:
        parts = urlsplit(settings.url)
        has_place = parts.hostname and parts.port != 0
    except ValueError:
        has_place = None
    if not has_place or parts.query or parts.fragment or parts.username is not None:
        raise SettingInvalid("QUEUEQL_URL: a URL is like http://127.0.0.1:8000, without a user, `?` or `#`.")
    return settings.url.rstrip("/").removesuffix("/graphql").rstrip("/")


def _token(settings: Settings, *, is_near: bool) -> tuple[str, str]:
    if settings.token:
        return settings.token, "--token or QUEUEQL_TOKEN"
    if not is_near:
        return "", ""
    if settings.admin_token:
        return settings.admin_token, "QUEUEQL_ADMIN_TOKEN"
    file = settings.token_file
    try:
        return file.read_text(encoding="ascii").strip(), str(file)
    except FileNotFoundError:
        return "", ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingInvalid(f"The token in {file} cannot be read: {reason}.") from None


def _is_near(url: str, settings: Settings) -> bool:
    host = urlsplit(url).hostname or ""
    if host in {"localhost", settings.host}:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
