"""GraphQL over HTTP (POST and GET), with server-sent events for subscriptions."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from api import page, sse
from api.auth import Credentials, forged
from api.body import BODY_MAX, PAYLOADS_MAX, NotJson, TooLarge, decode, encode, read_body
from api.deadline import TooLate
from api.errors import away, problem, unauthorized
from api.execution.operation import Operation, Rejected, Request, is_fault
from api.negotiation import EVENTS, GRAPHQL, JSON, Accepted
from api.parts import Parts
from jobs.errors import Unavailable
from jobs.viewer import Viewer

TIMEOUT = "X-Request-Timeout"
"""Seconds that the caller is ready to wait; what the settings allow stays the limit."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_PARAMETERS = frozenset({"query", "documentId", "extensions"})

_TITLES = {
    400: "Bad Request",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    413: "Content Too Large",
    415: "Unsupported Media Type",
}


class Refused(Exception):
    """The request is no GraphQL request that could be answered; the response says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class GraphQLEndpoint:
    """Answers requests to /graphql."""

    def __init__(self, parts: Parts) -> None:
        self._client = parts.client
        self._schema = parts.schema
        self._auth = parts.auth
        self._streams = parts.streams
        self._documents = parts.documents
        self._deadline = parts.deadline
        self._traffic = parts.traffic
        self._body_max_bytes = max(BODY_MAX, PAYLOADS_MAX * parts.settings.payload_max_bytes)

    async def answer(self, request: HTTPRequest) -> Response:
        """Answer one request: GET or POST."""
        accepted = Accepted.read(request.headers.get("accept"))
        if request.method != "POST" and accepted.page and not _PARAMETERS & request.query_params.keys():
            return page.index()
        try:
            _check_form(request, accepted)
            wanted_s = _wanted_s(request.headers.get(TIMEOUT))
            viewer, credentials = await self._signed_in(request)
            body = await _read(request, self._body_max_bytes)
            with self._traffic.preparing():
                asked = Request.read(self._documents.complete(body))
                operation = Operation.prepare(self._schema.current, asked)
            _check_operation(request, accepted, operation)
            if operation.is_subscription:
                results = operation.stream(self._client, viewer)
                return sse.EventStream(results, self._streams, self._traffic, lambda: self._auth.viewer(credentials))
            running = self._deadline.run(operation, self._client, viewer, wanted_s)
            return _answer(await self._traffic.run(operation.is_mutation, running), accepted)
        except Refused as refused:
            return refused.response
        except Rejected as rejected:
            return _answer({"errors": rejected.errors}, accepted, rejected)

    async def _signed_in(self, request: HTTPRequest) -> tuple[Viewer, Credentials]:
        credentials = self._auth.credentials(request)
        if credentials and credentials.from_cookie:
            fault = forged(request.headers, is_json=_content_type(request) == JSON)
            if fault:
                raise Refused(problem(403, "Forbidden", fault, code="CSRF"))
        try:
            viewer = await self._auth.viewer(credentials)
        except Unavailable as error:
            raise Refused(away(error)) from None
        if viewer is None or credentials is None:
            raise Refused(unauthorized())
        return viewer, credentials


def _check_form(request: HTTPRequest, accepted: Accepted) -> None:
    if accepted.json is None and not accepted.events:
        raise _refused(406, f"Answers are {GRAPHQL}, {JSON} or, for subscriptions, {EVENTS}.")
    if request.method == "POST" and _content_type(request) != JSON:
        raise _refused(415, f"The body must be {JSON}, in UTF-8.", accept=JSON)


def _check_operation(request: HTTPRequest, accepted: Accepted, operation: Operation) -> None:
    if request.method != "POST" and operation.is_mutation:
        raise _refused(405, "A mutation needs POST.", allow="POST")
    if operation.is_subscription and not accepted.events:
        raise _refused(
            406, f"A subscription has more than one result: accept {EVENTS}, or use a WebSocket (graphql-transport-ws)."
        )


def _wanted_s(header: str | None) -> float | None:
    """Read how long the caller waits. Raises Refused."""
    if header is None:
        return None
    if not _SECONDS.fullmatch(header) or float(header) <= 0:
        raise _refused(400, f"{TIMEOUT} is a number of seconds above 0, like 2.5.")
    return float(header)


async def _read(request: HTTPRequest, body_max_bytes: int) -> Any:
    """Read the parameters of a request. Raises Refused."""
    try:
        if request.method == "POST":
            return decode(await read_body(request, body_max_bytes))
        given: dict[str, Any] = dict(request.query_params)
        for name in ("variables", "extensions"):
            if name in given:
                given[name] = decode(given[name]) if given[name] else None
        return given  # noqa: TRY300  # decoding in the loop is what may fail
    except TooLarge:
        raise _refused(413, f"A body may have at most {body_max_bytes:,} bytes.", connection="close") from None
    except NotJson as error:
        raise _refused(400, f"The request is not JSON. {error}") from None


def _answer(result: dict[str, Any], accepted: Accepted, rejected: Rejected | None = None) -> Response:
    """Show a result. With application/json a rejection has status 200, as clients of that form expect."""
    if accepted.json is None:
        return sse.single(result)
    status = 200
    if rejected and is_fault(rejected.errors):
        status = 500
    elif isinstance(rejected, TooLate) and accepted.json == GRAPHQL:
        status = 504
    elif rejected and (rejected.malformed or accepted.json == GRAPHQL):
        status = 400
    return Response(encode(result), status, {"content-type": f"{accepted.json}; charset=utf-8"})


def _content_type(request: HTTPRequest) -> str:
    name, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    return name if charset in {"utf-8", "utf8"} else ""


def _refused(status: int, detail: str, **headers: str) -> Refused:
    title = _TITLES[status]
    return Refused(problem(status, title, detail, code=title.upper().replace(" ", "_"), headers=headers))
