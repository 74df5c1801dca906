"""Documents that clients name instead of sending them: trusted ones, and those that clients have sent before.

Two ways to name one are understood: `documentId` (GraphQL over HTTP, persisted documents), and
`extensions.persistedQuery.sha256Hash` (Apollo's automatic persisted queries).
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import msgspec

from api.execution.operation import Rejected
from jobs.errors import SettingInvalid
from jobs.settings import Settings

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
MISMATCH = "PERSISTED_QUERY_MISMATCH"
NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"

KEPT_MAX = 1_000
LENGTH_MAX = 20_000
"""Longer documents are run and not kept: their clients send them each time."""

_PREFIX = "sha256:"
_HASH = re.compile(r"[0-9a-f]{64}")


class PersistedDocuments:
    """The documents that this process knows by name. Those that clients sent are kept in memory, the latest used."""

    def __init__(self, trusted: dict[str, str] | None = None, *, only: bool = False) -> None:
        trusted = trusted or {}
        self._trusted = {_hash(text): text for text in trusted.values()} | trusted
        self._texts = frozenset(trusted.values())
        self._only = only
        self._kept: OrderedDict[str, str] = OrderedDict()

    @classmethod
    def load(cls, settings: Settings) -> PersistedDocuments:
        """Read the trusted documents that the settings name. Raises SettingInvalid."""
        if settings.documents is None:
            if settings.documents_only:
                raise SettingInvalid("QUEUEQL_DOCUMENTS_ONLY needs QUEUEQL_DOCUMENTS, the file with the documents.")
            return cls()
        return cls(_read(settings.documents), only=settings.documents_only)

    def complete(self, payload: object) -> object:
        """Return a request with the document that it names put in as `query`. Raises Rejected.

        A request that names none is returned as it is, and so is one that is no request at all.
        """
        if not isinstance(payload, dict):
            return payload
        name, query = _name(payload), payload.get("query")
        if name is None:
            if self._only and query not in self._texts:
                raise _not_trusted()
            return payload
        if not isinstance(query, str) or not query:
            return {**payload, "query": self._find(name)}
        if query == self._trusted.get(name):
            return payload
        if self._only:
            raise _not_trusted()
        if not _HASH.fullmatch(name) or name != _hash(query):
            raise _rejected("The document that came along is not the one that its SHA-256 names.", MISMATCH)
        self._keep(name, query)
        return payload

    def _find(self, name: str) -> str:
        found = self._trusted.get(name)
        if found is None and self._only:
            raise _not_trusted()
        found = found or self._kept.get(name)
        if found is None:
            raise _rejected("PersistedQueryNotFound", NOT_FOUND)  # the word that clients wait for; they send it then
        if name in self._kept:
            self._kept.move_to_end(name)
        return found

    def _keep(self, name: str, text: str) -> None:
        if len(text) > LENGTH_MAX:
            return
        self._kept[name] = text
        self._kept.move_to_end(name)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def _name(payload: dict[str, Any]) -> str | None:
    """Return the name of the document: what is behind `sha256:`, or the whole name where it has another form."""
    if (name := payload.get("documentId")) is None:
        extensions = payload.get("extensions")
        persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
        if persisted is None:
            return None
        if not isinstance(persisted, dict) or persisted.get("version") != 1:
            raise _rejected("`extensions.persistedQuery` must be an object with `version` 1.", NOT_FOUND)
        name = persisted.get("sha256Hash")
    if not isinstance(name, str) or not name:
        raise _rejected("The name of a persisted document must be a text.", NOT_FOUND)
    return name.removeprefix(_PREFIX)


def _read(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except OSError as error:
        raise SettingInvalid(f"QUEUEQL_DOCUMENTS: {path} cannot be read ({error.strerror}).") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(
            f"QUEUEQL_DOCUMENTS: {path} must be a JSON object with the text of each document by its name ({error})."
        ) from None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _not_trusted() -> Rejected:
    return _rejected("This server runs the documents that it was started with, and no others.", NOT_TRUSTED)


def _rejected(message: str, code: str) -> Rejected:
    return Rejected([{"message": message, "extensions": {"code": code}}])
