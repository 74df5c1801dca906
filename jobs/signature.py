"""A function's signature as JSON: the schema of its arguments and result, and the way in and out."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from typing import Any

import orjson
import pydantic
import pydantic_core
import typing_extensions
from pydantic import ConfigDict, TypeAdapter

from jobs.errors import InvalidArguments, TaskInvalid
from jobs.schema import JsonSchema, adapt_structs, describe_parameters

CONTEXT_NAMES = frozenset({"ctx", "context"})
DIGITS_MAX = 308
"""An integer in JSON that is longer may be beyond what history can read."""
_EMPTY = inspect.Parameter.empty
_Kinds = dict[str, Any]
_KINDS_REFUSED = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values",
}


class Unencodable(Exception):
    """A result that cannot be stored as JSON. The message says why."""


class Signature:
    """What a function takes and returns. Raises TaskInvalid where JSON cannot carry it.

    The first parameter is the context if it is annotated with Context or named `ctx` or `context`;
    all others are arguments, given by name. Parameters without an annotation accept any JSON.
    """

    __slots__ = ("_adapter", "_result", "args_schema", "is_async", "result_schema", "takes_context")

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        if inspect.isclass(function):
            raise TaskInvalid(f"Task {name}: a class cannot be a task; write a function that uses it.")
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise TaskInvalid(f"Task {name}: a generator cannot be a task; return a value instead.")
        self.is_async = _is_async(function)
        parameters = list(_parameters(function, name).values())
        namespace = getattr(inspect.unwrap(function), "__globals__", {})
        self.takes_context = bool(parameters) and _is_context(parameters[0], namespace)
        if self.takes_context:
            del parameters[0]
        kinds = {
            parameter.name: _kind(parameter, namespace, name)
            for parameter in parameters
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }
        self._adapter = _arguments_adapter(kinds, parameters)
        self.args_schema = self._publish(kinds, parameters, function, name)
        returned = inspect.signature(function).return_annotation
        self._result = _result_adapter(returned, namespace, name)
        self.result_schema = self._result_schema(name)

    def _publish(
        self, kinds: _Kinds, parameters: list[inspect.Parameter], function: Callable[..., Any], name: str
    ) -> dict[str, Any]:
        schema: dict[str, Any] = _json_schema(self._adapter, "validation", name)
        schema.pop("title", None)
        properties = schema.setdefault("properties", {})
        descriptions = describe_parameters(inspect.getdoc(function) or "")
        for parameter in parameters:
            if parameter.name not in kinds:
                continue
            published = properties[parameter.name]
            if parameter.default is not _EMPTY:
                published["default"] = _default(kinds[parameter.name], parameter, name)
            if parameter.name in descriptions:
                published.setdefault("description", descriptions[parameter.name])
        return schema

    def _result_schema(self, name: str) -> dict[str, Any] | None:
        return None if self._result is None else _json_schema(self._result, "serialization", name)

    def decode(self, args: bytes) -> dict[str, Any]:
        """Read the arguments, a JSON object. Raises InvalidArguments with the path of the first fault."""
        try:
            return typing.cast("dict[str, Any]", self._adapter.validate_json(args))
        except pydantic.ValidationError as error:
            fault = error.errors(include_url=False, include_context=False)[0]
            path = ("args", *fault["loc"])
            where = ".".join(str(part) for part in path)
            raise InvalidArguments(f"{where}: {fault['msg']}.", path=path) from None

    def encode(self, result: Any) -> str:
        """Write the result as JSON. Raises Unencodable."""
        if result is None:
            return "null"
        try:
            if self._result is None:
                plain = pydantic_core.to_jsonable_python(result)
            else:
                plain = self._result.dump_python(result, mode="json", by_alias=True, warnings="none")
            return _strict_json(plain)
        except (pydantic_core.PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
            raise Unencodable(f"The result cannot be written as JSON: {error}") from error


def _strict_json(plain: Any) -> str:
    """JSON that every reader understands: no NaN, no Infinity, no lone surrogates, no integer beyond all floats."""
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii():
        text.encode()
    if len(text) > DIGITS_MAX:
        orjson.loads(text)
    return text


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  # an object whose method __call__ is a coroutine function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _parameters(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        raise TaskInvalid(f"Task {name}: its signature cannot be read; wrap it in a function.") from None


def _is_context(parameter: inspect.Parameter, namespace: dict[str, Any]) -> bool:
    if parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        return False
    if parameter.name in CONTEXT_NAMES:
        return True
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotation = _lookup(annotation, namespace)
    return bool(getattr(annotation, "is_task_context", False))


def _lookup(annotation: str, namespace: dict[str, Any]) -> Any:
    try:
        return eval(annotation, namespace)  # noqa: S307  # the author's own annotation, as typing evaluates it
    except Exception:
        return None


def _annotation(given: Any, namespace: dict[str, Any], where: str) -> Any:
    if given is _EMPTY:
        return Any
    holder = typing.cast("Any", lambda: None)
    holder.__annotations__ = {"it": given}
    try:
        return typing.get_type_hints(holder, namespace, include_extras=True)["it"]
    except Exception as error:
        raise TaskInvalid(
            f"{where}: the annotation {given!r} cannot be resolved ({error}); "
            "the type must be importable from the module, not only while type checking."
        ) from None


def _kind(parameter: inspect.Parameter, namespace: dict[str, Any], name: str) -> Any:
    """Return the type of a parameter as pydantic understands it. Raises TaskInvalid."""
    where = f"Task {name}, parameter {parameter.name!r}"
    if parameter.kind in _KINDS_REFUSED:
        raise TaskInvalid(
            f"{where} {_KINDS_REFUSED[parameter.kind]}, but arguments have names: make it an ordinary parameter."
        )
    kind = adapt_structs(_annotation(parameter.annotation, namespace, where))
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        adapter.json_schema()
    except pydantic.errors.PydanticUserError as error:
        reason = str(error).splitlines()[0]
        raise TaskInvalid(f"{where}: its type {kind!r} cannot be read from JSON ({reason}).") from None
    if parameter.default is None and not _accepts(adapter, None):
        return typing.Optional[kind]  # noqa: UP045  # the operator | does not take every form of annotation
    return kind


def _accepts(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


def _arguments_adapter(kinds: _Kinds, parameters: list[inspect.Parameter]) -> TypeAdapter[Any]:
    required = {parameter.name for parameter in parameters if parameter.default is _EMPTY}
    open_end = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    fields = {name: kind if name in required else typing_extensions.NotRequired[kind] for name, kind in kinds.items()}
    make: Any = typing_extensions.TypedDict  # called as a function: its fields are known at run time only
    shape = make("Arguments", fields)
    shape.__pydantic_config__ = ConfigDict(extra="allow" if open_end else "forbid")
    return TypeAdapter(shape)


def _default(kind: Any, parameter: inspect.Parameter, name: str) -> Any:
    """Return a parameter's default as JSON has it. Raises TaskInvalid."""
    where = f"Task {name}: the default of {parameter.name!r}"
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        text = _strict_json(adapter.dump_python(parameter.default, mode="json", warnings="none"))
        adapter.validate_json(text)
    except pydantic.ValidationError as error:
        raise TaskInvalid(f"{where} does not fit its type: {error.errors()[0]['msg']}.") from None
    except (pydantic_core.PydanticSerializationError, ValueError, TypeError) as error:
        raise TaskInvalid(f"{where} cannot be written as JSON: {error}") from None
    return json.loads(text)


def _result_adapter(returned: Any, namespace: dict[str, Any], name: str) -> TypeAdapter[Any] | None:
    if returned is _EMPTY:
        return None
    kind = _annotation(returned, namespace, f"Task {name}, its result")
    if kind is Any or kind is typing.NoReturn or kind is typing.Never:
        return None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(adapt_structs(kind))
        adapter.json_schema(mode="serialization")
    except pydantic.errors.PydanticUserError as error:
        reason = str(error).splitlines()[0]
        raise TaskInvalid(f"Task {name}: its result {kind!r} cannot be written as JSON ({reason}).") from None
    return adapter


def _json_schema(adapter: TypeAdapter[Any], mode: typing.Literal["validation", "serialization"], name: str) -> Any:
    try:
        return adapter.json_schema(mode=mode, schema_generator=JsonSchema)
    except pydantic.errors.PydanticUserError as error:
        raise TaskInvalid(f"Task {name}: {str(error).splitlines()[0]}") from None
