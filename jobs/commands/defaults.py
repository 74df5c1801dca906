"""Defaults of arguments: what a caller leaves out is stored as its task was published with it.

So a job has the same arguments whichever way it was enqueued, and lists find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def filled(args: Any, signature: Mapping[str, Any]) -> Any:
    """Return arguments with the defaults of their signature, those within records too.

    A default of null is left out, as it says nothing. What does not fit the signature stays as it is.
    """
    return _filled(args, signature, signature.get("$defs", {}))


def _filled(value: Any, part: Any, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict | list) or not isinstance(part, dict):
        return value
    if "$ref" in part:
        key = str(part["$ref"]).removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
        return _filled(value, definitions.get(key), definitions)
    if len(part.get("allOf", ())) == 1:
        return _filled(value, part["allOf"][0], definitions)
    alternatives = part.get("anyOf") or part.get("oneOf")
    if alternatives:
        others = [one for one in alternatives if one != {"type": "null"}]
        return _filled(value, others[0], definitions) if len(others) == 1 else value
    if isinstance(value, list):
        return [_filled(item, part.get("items"), definitions) for item in value]
    properties = part.get("properties", {})
    whole = dict(value)
    for name, property_ in properties.items():
        if name in value:
            whole[name] = _filled(value[name], property_, definitions)
        elif isinstance(property_, dict) and property_.get("default") is not None:
            whole[name] = property_["default"]
    return whole
