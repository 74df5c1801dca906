"""The client of the directory's GraphQL API: sends the documents in operations/, sorts out what comes back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from examples.user_sync.user import Page, User, UserError

_OPERATIONS = Path(__file__).with_name("operations")
_CHANGED_USERS = (_OPERATIONS / "changed_users.graphql").read_text(encoding="utf-8")
_USERS_BY_ID = (_OPERATIONS / "users_by_id.graphql").read_text(encoding="utf-8")

_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
_USER_PATH_LENGTH = 4  # users, edges, INDEX, node


class Unavailable(Exception):
    """The API did not answer, or not with what was asked; the same request may succeed later."""


class Throttled(Exception):
    """The API wants fewer requests; `retry_after_s` says when it takes the next one."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"The directory asks to wait {retry_after_s:g} s.")
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """The API will not answer this request, however often it is sent: a wrong token, say."""


class DirectoryApi:
    """A connection to the API, for one sync: `async with DirectoryApi(url, token) as api`."""

    def __init__(self, url: str, token: str, timeout: aiohttp.ClientTimeout = _TIMEOUT) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=timeout)

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self._session.close()

    async def changed_users(self, first: int, after: str | None, updated_since: str | None) -> Page:
        """Read the next page, oldest change first. Raises Unavailable, Throttled or Refused."""
        return await self._page(_CHANGED_USERS, {"first": first, "after": after, "updatedSince": updated_since})

    async def users_by_id(self, ids: Sequence[str]) -> Page:
        """Read these users, at most 100; one that is gone is an error of its own. Raises as changed_users does."""
        page = await self._page(_USERS_BY_ID, {"first": len(ids), "ids": list(ids)})
        met = {user.id for user in page.users} | {error.id for error in page.errors}
        gone = [
            UserError(user_id, "USER_GONE", "The directory has no such user.") for user_id in ids if user_id not in met
        ]
        return replace(page, errors=page.errors + gone)

    async def _page(self, document: str, variables: dict[str, Any]) -> Page:
        try:
            async with self._session.post(self._url, json={"query": document, "variables": variables}) as response:
                await _check_status(response)
                return _read_page(await response.json())
        except TimeoutError:
            raise Unavailable("The directory did not answer in time.") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise Unavailable(f"The directory cannot be read: {error}") from error


async def _check_status(response: aiohttp.ClientResponse) -> None:
    match response.status:
        case 200:
            return
        case 429:
            raise Throttled(_seconds(response.headers.get("Retry-After")))
        case 400 | 401 | 403 | 404 | 405:
            raise Refused(f"The directory refused the request ({response.status}): {_message(await response.text())}")
        case status:
            raise Unavailable(f"The directory answered {status}.")


def _message(body: str) -> str:
    """Read the first error of an answer, or its text where it is no GraphQL."""
    try:
        return str(json.loads(body)["errors"][0]["message"])
    except (ValueError, TypeError, LookupError):
        return body[:200]


def _seconds(retry_after: object) -> float:
    """Read a wait that an API asks for; one that is missing or not a number counts as a second."""
    try:
        return max(0.0, float(str(retry_after)))
    except ValueError:
        return 1.0


def _read_page(body: dict[str, Any]) -> Page:
    """Read an answer. Errors below one user are that user's; any other error is the request's."""
    faults: dict[int, list[dict[str, Any]]] = {}
    for error in body.get("errors") or ():
        path = error.get("path") or []
        if len(path) < _USER_PATH_LENGTH or body.get("data") is None:
            raise _request_error(error)
        faults.setdefault(path[2], []).append(error)
    connection = body["data"]["users"]
    users, errors = [], []
    for index, edge in enumerate(connection["edges"]):
        if index in faults:
            errors.append(_user_error(edge["userId"], faults[index][0]))
        else:
            users.append(_user(edge["node"]))
    info = connection["pageInfo"]
    return Page(users, errors, connection["totalCount"], info["endCursor"] if info["hasNextPage"] else None)


def _request_error(error: dict[str, Any]) -> Exception:
    extensions = error.get("extensions") or {}
    match extensions.get("code"):
        case "THROTTLED":
            return Throttled(_seconds(extensions.get("retryAfter")))
        case None | "INTERNAL_SERVER_ERROR":
            return Unavailable(f"The directory failed: {error.get('message')}")
        case code:
            return Refused(f"The directory refused the request ({code}): {error.get('message')}")


def _user_error(user_id: str, error: dict[str, Any]) -> UserError:
    code = (error.get("extensions") or {}).get("code", "UNKNOWN")
    return UserError(user_id, str(code), str(error.get("message", "")))


def _user(node: dict[str, Any]) -> User:
    return User(node["id"], node["name"], node["email"] or "", node["department"], node["active"], node["updatedAt"])
