"""Limits of operations, measured in time linear to the document, and documents kept ready to run.

A document is parsed, measured and validated once per schema; the outcome is kept in a bounded cache that
goes away with the schema, so that a swap of the schema needs nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    IntValueNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    parse,
    validate,
)

from jobs.page import PAGE_DEFAULT, PAGE_MAX

TOKENS_MAX = 10_000
DEPTH_MAX = 20
ALIASES_MAX = 200
FIELDS_MAX = 1_000
DIRECTIVES_MAX = 200
COST_MAX = 100_000
"""Values that a result may have, as far as the document tells; a search counts as `SEARCH_COST` of them."""
SEARCH_COST = 1_000
ERRORS_MAX = 20

_CACHED_DOCUMENTS = 500
_CACHED_LENGTH = 20_000
_INTROSPECTION = frozenset({"__schema", "__type"})
_CONNECTION = frozenset({"nodes", "edges"})

TOO_DEEP = "The document is nested too deeply."


@dataclass(frozen=True)
class Prepared:
    """A document that was parsed, measured and validated: either ready to run, or with the errors it has."""

    document: DocumentNode | None
    errors: list[GraphQLError] = field(default_factory=list)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation to run. Raises GraphQLError where it is not clear which one."""
        definitions = self.document.definitions if self.document else ()
        operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
        if name is None:
            if len(operations) == 1:
                return operations[0]
            raise GraphQLError(
                "The document has several operations; say which with operationName."
                if operations
                else "The document has no operation."
            )
        for node in operations:
            if node.name and node.name.value == name:
                return node
        raise GraphQLError(f"The document has no operation named {name[:80]!r}.")


class Documents:
    """The documents that were run on one schema, the most recent ones kept."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, Prepared] = OrderedDict()

    def prepare(self, text: str) -> Prepared:
        """Parse, measure and validate a document. Never raises: what is wrong with it is in the answer."""
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        prepared = self._prepare(text)
        if len(text) <= _CACHED_LENGTH:
            self._known[text] = prepared
            if len(self._known) > _CACHED_DOCUMENTS:
                self._known.popitem(last=False)
        return prepared

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse(text, max_tokens=TOKENS_MAX)
            faults = [GraphQLError(fault) for fault in exceeded(document)]
            if not faults:
                faults = validate(self._schema, document, max_errors=ERRORS_MAX, hide_suggestions=True)
        except GraphQLError as error:
            return Prepared(None, [error])
        except RecursionError:
            return Prepared(None, [GraphQLError(TOO_DEEP)])
        return Prepared(None if faults else document, faults)


class Size(NamedTuple):
    """Measures of a selection, its fragments included."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    cost: int = 0


def exceeded(document: DocumentNode) -> Iterator[str]:
    """Say which limits a document exceeds. Raises RecursionError for one that is nested absurdly deep."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    ruler = _Ruler(fragments)
    sizes = [
        ruler.measure(node.selection_set)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    limits = Size(DEPTH_MAX, FIELDS_MAX, ALIASES_MAX, DIRECTIVES_MAX, COST_MAX)
    for name, limit in zip(Size._fields, limits, strict=True):
        most = max((getattr(size, name) for size in sizes), default=0)
        if most > limit and name == "cost":
            yield (
                f"The document may cost {most:,} points; {limit:,} are allowed: ask for fewer items of a list, "
                "less of each, or fewer lists."
            )
        elif most > limit:
            what = "is nested" if name == "depth" else "has"
            unit = "levels deep" if name == "depth" else name
            yield f"The document {what} more than {limit:,} {unit}."
    if ruler.written > FIELDS_MAX:
        yield f"The document has more than {FIELDS_MAX:,} fields, introspection included."


class _Ruler:
    """Measures each selection set of the source once; a fragment's size is reused wherever it is spread."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._measured: dict[str, Size] = {}
        self.written = 0
        """Fields as they stand in the source, those of introspection too."""

    def measure(self, selection_set: SelectionSetNode | None, *, exempt: bool = False) -> Size:
        depth = fields = aliases = directives = cost = 0
        for node in selection_set.selections if selection_set else ():
            one, inside, here = 0, exempt, Size(directives=len(node.directives or ()))
            if isinstance(node, FragmentSpreadNode):
                size = self._fragment(node.name.value)
            else:
                if isinstance(node, FieldNode):
                    self.written += 1
                    one = 1
                    inside = exempt or node.name.value in _INTROSPECTION
                    here = Size(1, 1, 1 if node.alias else 0, here.directives, 1 + _search_cost(node))
                size = self.measure(node.selection_set, exempt=inside)  # type: ignore[attr-defined]  # all but spreads have one
            if exempt:
                continue
            if inside:
                size = Size()
            depth = max(depth, size.depth + one)
            fields += size.fields + here.fields
            aliases += size.aliases + here.aliases
            directives += size.directives + here.directives
            cost += size.cost * _items(node) + here.cost
        return Size(depth, fields, aliases, directives, cost)

    def _fragment(self, name: str) -> Size:
        if name not in self._measured:
            self._measured[name] = Size()  # a cycle ends here; validation refuses it
            node = self._fragments.get(name)
            self._measured[name] = self.measure(node.selection_set) if node else Size()
        return self._measured[name]


def _items(node: Node) -> int:
    """Return how many items a field may have: those of a list are asked for with `first` or `last`."""
    if not isinstance(node, FieldNode) or node.selection_set is None:
        return 1
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    for name in ("first", "last"):
        value = given.get(name)
        if isinstance(value, IntValueNode):
            return min(PAGE_MAX, max(1, int(value.value[:9])))
        if isinstance(value, VariableNode):
            return PAGE_MAX
    inner = (one.name.value for one in node.selection_set.selections if isinstance(one, FieldNode))
    return PAGE_DEFAULT if _CONNECTION & set(inner) else 1


def _search_cost(node: FieldNode) -> int:
    return SEARCH_COST if any(argument.name.value == "where" for argument in node.arguments or ()) else 0
