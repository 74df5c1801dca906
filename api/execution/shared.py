"""Results that several subscribers have in common: executed once, encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from jobs.once import Once
from jobs.viewer import Role

KEPT_MAX_BYTES = 8 * 1024 * 1024
"""Memory that the results may take which others may still ask for."""
_RESULT_BYTES = 1_000
"""What a result takes beside its text."""

Made = bytes | Awaitable[bytes]


class Scope(NamedTuple):
    """Subscribers of one scope make the same of a value, whatever they asked for it with."""

    query: str
    operation: str | None
    variables: bytes
    """Those that are used within the root field; its own arguments have done their work by then."""
    role: Role


class SharedResults:
    """What the subscribers of each scope made of the latest values."""

    def __init__(self) -> None:
        self._groups: dict[Scope, Group] = {}
        self._kept: OrderedDict[tuple[Group, int], tuple[Any, bytes]] = OrderedDict()
        self.bytes = 0
        """About how much memory the results take."""

    def join(self, scope: Scope) -> Group:
        """Begin to ask for the results of a scope."""
        group = self._groups.get(scope)
        if group is None:
            group = self._groups[scope] = Group(self)
        group.members += 1
        return group

    def leave(self, scope: Scope) -> None:
        """Ask no more."""
        group = self._groups[scope]
        group.members -= 1
        if not group.members:
            del self._groups[scope]
            for key in [key for key in self._kept if key[0] is group]:
                self._forget(key)

    def find(self, group: Group, value: object) -> bytes | None:
        """Return the result that is there."""
        found = self._kept.get((group, id(value)))
        return found[1] if found else None

    def keep(self, group: Group, value: object, made: bytes) -> None:
        """Keep a result for others; the oldest ones make room."""
        # The value is kept too, so that no other one can get its id.
        self._kept[group, id(value)] = (value, made)
        self.bytes += _bytes_of(value, made)
        while self.bytes > KEPT_MAX_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[Group, int]) -> None:
        value, made = self._kept.pop(key)
        self.bytes -= _bytes_of(value, made)


def _bytes_of(value: object, made: bytes) -> int:
    return len(made) + _RESULT_BYTES + getattr(value, "bytes", 0)


class Group:
    """The subscribers of one scope."""

    def __init__(self, results: SharedResults) -> None:
        self.members = 0
        self._results = results
        self._making = Once[int, bytes]()

    async def get(self, value: object, make: Callable[[Any], Made]) -> bytes:
        """Return the result of a value: the one that is there, or that is being made, or a new one."""
        if self.members == 1:
            made = make(value)
            return made if isinstance(made, bytes) else await made
        known = self._results.find(self, value)
        if known is not None:
            return known
        if waiting := self._making.waiting(id(value)):
            return await waiting
        made = make(value)
        if isinstance(made, bytes):
            self._results.keep(self, value, made)
            return made
        return await self._making.get(id(value), lambda: self._finish(value, made))

    async def _finish(self, value: object, making: Awaitable[bytes]) -> bytes:
        made = await making
        if self.members:
            self._results.keep(self, value, made)
        return made


def inner_variables(document: DocumentNode, operation: OperationDefinitionNode) -> list[str]:
    """Return the names of the variables that are used anywhere but in the arguments of the root fields."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    outer = {id(argument) for argument in _root_arguments(operation.selection_set, fragments, set())}
    found: dict[str, None] = {}
    waiting: list[Node] = [operation.selection_set, *(operation.directives or ()), *fragments.values()]
    while waiting:
        node = waiting.pop()
        if isinstance(node, VariableNode):
            found[node.name.value] = None
        elif id(node) not in outer:
            waiting += _children(node)
    return sorted(found)


def _root_arguments(
    selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[ArgumentNode]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield from node.arguments or ()
        elif not isinstance(node, FragmentSpreadNode):
            yield from _root_arguments(node.selection_set, fragments, seen)  # type: ignore[attr-defined]  # an inline fragment
        elif node.name.value not in seen:
            seen.add(node.name.value)
            yield from _root_arguments(fragments[node.name.value].selection_set, fragments, seen)


def _children(node: Node) -> Iterator[Node]:
    for key in node.keys:
        value = getattr(node, key, None)
        for child in value if isinstance(value, list | tuple) else (value,):
            if isinstance(child, Node):
                yield child
