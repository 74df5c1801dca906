"""One operation, from what a client sent to its result or its stream of results."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    execute,
)
from graphql.execution import Executor, create_source_event_stream, execute_subscription_event
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental

from api.body import encode, not_unicode
from api.context import Context
from api.errors import INTERNAL, PARSE_FAILED, VALIDATION_FAILED, formatted
from api.execution.shared import Scope, inner_variables
from api.execution.variables import deepest, misfits
from api.schema.live import Runnable
from jobs.client import Client
from jobs.viewer import Viewer


class Rejected(Exception):
    """An operation that cannot begin. `errors` are as the response shows them.

    `malformed`: the request was no GraphQL request at all.
    """

    def __init__(self, errors: list[dict[str, Any]], *, malformed: bool = False) -> None:
        super().__init__("; ".join(str(error["message"]) for error in errors))
        self.errors = errors
        self.malformed = malformed


@dataclass(frozen=True)
class Request:
    """What a client sent. Raises Rejected where a part has the wrong type."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict)
    operation_name: str | None = None

    @classmethod
    def read(cls, payload: object) -> Request:
        """Check the parameters of a request, as JSON has them."""
        if isinstance(payload, list):
            raise _rejected("Batches are not supported; send one operation, which may have many fields.")
        if not isinstance(payload, Mapping):
            raise _rejected("The request must be a JSON object.")
        query, variables, name = (payload.get(key) for key in ("query", "variables", "operationName"))
        if not isinstance(query, str) or not query.strip():
            raise _rejected("`query` must be a text with the GraphQL document.")
        if not isinstance(variables, dict | None):
            raise _rejected("`variables` must be an object.")
        if not isinstance(name, str | None):
            raise _rejected("`operationName` must be a text.")
        if not isinstance(payload.get("extensions"), dict | None):
            raise _rejected("`extensions` must be an object.")
        for part, value in (("query", query), ("variables", variables), ("operationName", name)):
            place = not_unicode(value, part)
            if place is not None:
                raise _rejected(f"{place[:200]} contains half of a surrogate pair, which is not valid Unicode.")
        return cls(query, variables or {}, name or None)


@dataclass(frozen=True)
class Operation:
    """An operation that is ready to run on one version of the schema."""

    runnable: Runnable
    request: Request
    prepared: Any
    node: OperationDefinitionNode

    @classmethod
    def prepare(cls, runnable: Runnable, request: Request) -> Operation:
        """Parse, measure and validate. Raises Rejected."""
        prepared = runnable.documents.prepare(request.query)
        if prepared.document is None:
            raise Rejected([_classified(error) for error in prepared.errors])
        try:
            node = prepared.operation(request.operation_name)
        except GraphQLError as error:
            raise Rejected([_classified(error)]) from None
        return cls(runnable, request, prepared.document, node)

    @property
    def is_subscription(self) -> bool:
        """Whether it delivers a stream."""
        return self.node.operation is OperationType.SUBSCRIPTION

    @property
    def is_mutation(self) -> bool:
        """Whether it may change something."""
        return self.node.operation is OperationType.MUTATION

    async def run(self, client: Client, viewer: Viewer) -> dict[str, Any]:
        """Run a query or mutation. Raises Rejected where its variables do not fit."""
        result = execute(**self._arguments(client, viewer))
        return self._response(await result if isawaitable(result) else result)

    async def stream(self, client: Client, viewer: Viewer) -> AsyncGenerator[bytes, None]:
        """Run a subscription; each result is JSON, made once for all subscribers who would get the same.

        Raises Rejected where it cannot begin; a fault on the way is its last result.
        """
        arguments = self._arguments(client, viewer)
        variables = arguments.pop("variable_values")
        executor = ExecutorThrowingOnIncremental.build(**arguments, raw_variable_values=variables)
        if isinstance(executor, list):
            raise Rejected(self._placed([formatted(error) for error in executor]))
        started = create_source_event_stream(executor)
        source: Any = await started if isawaitable(started) else started
        if isinstance(source, ExecutionResult):
            raise Rejected(self._placed([formatted(error) for error in source.errors or ()]))
        scope = self._scope(viewer)
        group = self.runnable.results.join(scope)
        try:
            async for value in source:
                yield await group.get(value, lambda value: self._make(executor, value))
        except Exception as error:  # masked and logged in `formatted`
            yield encode({"data": None, "errors": [formatted(error)]})
        finally:
            self.runnable.results.leave(scope)
            await source.aclose()

    def _make(self, executor: Executor[Any], value: object) -> bytes | Awaitable[bytes]:
        """Make the result of a value of a subscription."""
        result = execute_subscription_event(executor.build_per_event_executor(value))
        return self._finish(result) if isawaitable(result) else encode(self._response(result))

    async def _finish(self, result: Awaitable[ExecutionResult]) -> bytes:
        return encode(self._response(await result))

    def _scope(self, viewer: Viewer) -> Scope:
        names = inner_variables(self.prepared, self.node)
        given = {name: self.request.variables[name] for name in names if name in self.request.variables}
        return Scope(self.request.query, self.request.operation_name, encode(given), viewer.role)

    def _arguments(self, client: Client, viewer: Viewer) -> dict[str, Any]:
        return {
            "schema": self.runnable.schema,
            "document": self.prepared,
            "variable_values": self.request.variables,
            "operation_name": self.request.operation_name,
            "context_value": Context(client, viewer, self.runnable.mutations),
            "hide_suggestions": True,
        }

    def _response(self, result: ExecutionResult) -> dict[str, Any]:
        """Return a result as it is sent. Raises Rejected where nothing was executed."""
        errors = [formatted(error) for error in result.errors or ()]
        if result.data is None and errors and all("path" not in error for error in errors):
            raise Rejected(self._placed(errors))
        return {"data": result.data, "errors": errors} if errors else {"data": result.data}

    def _placed(self, errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Say in each error about a variable where in it the fault is."""
        if any("path" in error for error in errors):
            return errors
        given = self.request.variables
        definitions = self.node.variable_definitions or ()
        places = misfits(self.runnable.schema, definitions, given, len(errors)) or [deepest(given)]
        for error, place in zip(errors, places, strict=False):  # of very many only the first are errors
            if error["message"].startswith("Variable "):
                error["extensions"]["variable"] = place
        return errors


def is_fault(errors: list[dict[str, Any]]) -> bool:
    """Tell whether errors are ours rather than the client's."""
    return any(error["extensions"]["code"] == INTERNAL for error in errors)


def _classified(error: GraphQLError) -> dict[str, Any]:
    code = PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else VALIDATION_FAILED
    return {**formatted(error), "extensions": {"code": code}}


def _rejected(message: str) -> Rejected:
    return Rejected([{"message": message, "extensions": {"code": VALIDATION_FAILED}}], malformed=True)
