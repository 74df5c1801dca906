"""What clients get to see of errors: GraphQL errors with a code, faults masked, and problem details over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from starlette.responses import Response

from jobs.clock import new_id
from jobs.errors import DiskFull, EpochChanged, RequestError, Unavailable

log = structlog.get_logger(__name__)

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
INTERNAL = "INTERNAL"

AWAY = "A part that this request needs does not answer now; the same request may succeed later."
FULL = "The disk of the database is nearly full: no new job is accepted until there is room."


def formatted(error: Exception) -> dict[str, Any]:
    """Return an error as the response shows it. A fault is masked; its details go to the log, under the id shown."""
    shown = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
    cause = _cause(shown)
    message, extensions = _public(shown, cause)
    answer: dict[str, Any] = {"message": message}
    if shown.locations:
        answer["locations"] = [place.formatted for place in shown.locations]
    if shown.path is not None:
        answer["path"] = shown.path
    answer["extensions"] = extensions
    return answer


def _cause(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _public(error: GraphQLError, cause: BaseException | None) -> tuple[str, dict[str, Any]]:
    if isinstance(cause, RequestError):
        place = {"argument": list(cause.path)} if cause.path else {}
        return str(cause), {"code": cause.code, **place}
    if isinstance(cause, Unavailable | EpochChanged):
        log.warning("api.unavailable", code=cause.code, error=str(cause))
        return FULL if isinstance(cause, DiskFull) else AWAY, {"code": cause.code}
    if cause is None:
        if isinstance(error, GraphQLSyntaxError):
            return error.message, {"code": PARSE_FAILED}
        if error.path is None:
            code = (error.extensions or {}).get("code", BAD_USER_INPUT)
            return error.message, {"code": code}
        if error.message.startswith("Argument "):  # a variable that is null where its type says that it may be
            return error.message, {"code": BAD_USER_INPUT}
    return _masked(error, cause)


def _masked(error: GraphQLError, cause: BaseException | None) -> tuple[str, dict[str, Any]]:
    fault_id = new_id()
    log.error("api.fault", id=fault_id, path=error.path, error=error.message, exc_info=cause or error)
    extensions = {"code": INTERNAL, "id": fault_id}
    if request_id := structlog.contextvars.get_contextvars().get("request_id"):
        extensions["requestId"] = request_id
    return f"Something went wrong here; the log has the details under {fault_id}.", extensions


def problem(
    status: int, title: str, detail: str, *, code: str, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """Return an HTTP error as problem details (RFC 9457). `code` is stable."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **more}
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


def unauthorized() -> Response:
    """Say that nobody is signed in, and how that is done."""
    detail = "Sign in with the link that was printed at the start, or send `Authorization: Bearer TOKEN`."
    headers = {"www-authenticate": "Bearer"}
    return problem(401, "Unauthorized", detail, code="UNAUTHENTICATED", headers=headers)


def away(error: Unavailable) -> Response:
    """Say that a part which the request needs does not answer."""
    return problem(503, "Service Unavailable", AWAY, code=error.code, headers={"retry-after": "1"})
