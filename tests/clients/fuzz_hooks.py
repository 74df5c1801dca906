"""What schemathesis needs to know: how our scalars look, and what counts as a fault."""

from __future__ import annotations

import schemathesis
from graphql import REMOVE, ArgumentNode, DocumentNode, IntValueNode, Visitor, print_ast, visit
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.graphql import nodes, scalar


def texts(*samples: str) -> st.SearchStrategy[object]:
    """Acceptable ones and others."""
    return st.one_of(st.sampled_from(samples), st.text(max_size=20)).map(nodes.String)


scalar("BigInt", st.integers(-(2**70), 2**70).map(str).map(nodes.String))
scalar("Cursor", texts("azE6MQ"))
scalar("DateTime", texts("2030-01-31T12:00:00Z", "9999-12-31T23:59:59-14:00"))
scalar("Duration", texts("PT1S", "P2D"))
scalar("JSON", st.one_of(texts("{}"), st.integers().map(nodes.Int), st.booleans().map(nodes.Boolean)))
scalar("UUID", texts("01a215ee-cee5-739f-a1b9-bbf7ab7c92fd"))


@schemathesis.check
def no_fault_of_ours(_context: CheckContext, response: Response, _case: Case) -> None:
    """Errors are the caller's: each has a code, none is INTERNAL."""
    assert response.status_code < 500
    codes = [error["extensions"]["code"] for error in response.json().get("errors", ())]
    assert "INTERNAL" not in codes


class Sensible(Visitor):
    """Makes windows of lists acceptable."""

    def enter_argument(self, node: ArgumentNode, *_: object) -> object:
        if node.name.value in {"last", "after", "before"}:
            return REMOVE
        if node.name.value == "first" and isinstance(node.value, IntValueNode):
            return ArgumentNode(name=node.name, value=IntValueNode(value=str(abs(int(node.value.value)) % 100 + 1)))
        return None


@schemathesis.hook
def map_body(_context: HookContext, body: DocumentNode) -> DocumentNode:
    """Of every four documents let three ask for an acceptable window: few lists would be looked at otherwise."""
    return visit(body, Sensible()) if len(print_ast(body)) % 4 else body
