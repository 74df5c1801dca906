"""Who asks: bearer tokens, browser sessions, and what keeps other web sites from using the latter.

A session cookie is sent by the browser whatever page made the request, so a request that has nothing else must
show that it comes from this site: its Origin is this host, and it has what a form of another site cannot send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from jobs.client import Client
from jobs.settings import Settings
from jobs.viewer import Viewer

CSRF_HEADER = "x-queueql"
"""Any value of this header shows that a script of this site made the request."""
SESSION_S = 30 * 86_400

_LOCAL_NAMES = frozenset({"localhost"})
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, repr=False)
class Credentials:
    """The secret that a request brought. Never printed."""

    secret: str
    from_cookie: bool = False


class Authenticator:
    """Finds the viewer behind a request."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self.cookie = f"queueql_session_{settings.port}"
        """Cookies of one host are shared by all its ports, so the port is in the name."""

    def credentials(self, connection: HTTPConnection) -> Credentials | None:
        """Return what the request's headers bring. A bearer token comes before the cookie."""
        header = connection.headers.get("authorization")
        if header is not None:
            return bearer(header)
        secret = connection.cookies.get(self.cookie)
        return Credentials(secret, from_cookie=True) if secret else None

    async def viewer(self, credentials: Credentials | None) -> Viewer | None:
        """Return the viewer, None where nobody is signed in. Raises StoreUnavailable."""
        if credentials is None:
            return None
        return await self._client.queries.token.authenticate(credentials.secret)

    async def sign_in(self, code: str) -> str | None:
        """Turn the one-time code of a link into the secret of a session; None where it does not work any more."""
        return await self._client.commands.token.exchange(code) if code else None

    def set_cookie(self, response: Response, secret: str, *, secure: bool) -> None:
        """Keep the session in the browser, where scripts cannot read it and other sites cannot use it."""
        response.set_cookie(
            self.cookie, secret, max_age=SESSION_S, path="/", httponly=True, samesite="strict", secure=secure
        )


def bearer(header: object) -> Credentials | None:
    """Read the value of an Authorization header."""
    scheme, _, secret = header.strip().partition(" ") if isinstance(header, str) else ("", "", "")
    secret = secret.strip()
    return Credentials(secret) if scheme.lower() == "bearer" and secret else None


def from_payload(payload: Mapping[str, object]) -> Credentials | None:
    """Read the Authorization of a connection_init message; the case of its name does not matter."""
    return next((bearer(value) for name, value in payload.items() if name.lower() == "authorization"), None)


def forged(headers: Headers, *, is_json: bool) -> str | None:
    """Say why a request that only has a cookie might be another site's; None where it is not."""
    if fault := foreign(headers):
        return fault
    if not is_json and CSRF_HEADER not in headers:
        return f"A request that is signed in by cookie needs a JSON body or the header {CSRF_HEADER}."
    return None


def foreign(headers: Headers) -> str | None:
    """Say why a request was made by a page of another site; None where it was not, or by no browser at all."""
    origin = headers.get("origin")
    if origin is not None and not _is_same_origin(origin, headers.get("host", "")):
        return "A page of another site made this request."
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return "A page of another site made this request."
    return None


def _is_same_origin(origin: str, host: str) -> bool:
    try:
        asked, page = urlsplit(f"//{host}"), urlsplit(origin)
        ports = asked.port, page.port
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(page.scheme)
    same_port = (ports[0] or default) == (ports[1] or default)
    return page.hostname is not None and page.hostname == asked.hostname and same_port


class Hosts:
    """The names that this API answers to. Another name in `Host` means that somebody's DNS leads here (rebinding).

    Addresses are always right: only names can be made to lead elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = _LOCAL_NAMES | {settings.host.lower(), *(name.lower() for name in settings.allowed_hosts)}

    def allow(self, header: str) -> bool:
        """Tell whether a Host header names this API."""
        try:
            parts = urlsplit(f"//{header}")
            name = (parts.hostname or "").rstrip(".").lower()
            _ = parts.port
        except ValueError:
            return False
        if parts.path or parts.query or parts.fragment or "@" in parts.netloc or not name:
            return False
        return name in self._names or "*" in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
