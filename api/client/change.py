"""The same mutation for several objects, one after the other: what is refused does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from api.client.link import Link
from api.client.refusal import refusal
from api.client.screen import COLOURS, Screen
from jobs.errors import Refused


async def change_each(
    link: Link,
    screen: Screen,
    mutation: str,
    ids: Sequence[str],
    *,
    payload: str,
    noun: str,
    state: Callable[[dict[str, Any]], tuple[str, str]],
) -> int:
    """Run a mutation for each id and say what became of it; return the exit code of the first refusal, or 0.

    `state` gives an object's id and what to say of it. Raises CommandError where the API does not answer.
    """
    results: list[dict[str, Any]] = []
    code = 0
    for one in ids:
        changed, fault = None, None
        try:
            answer = (await link.run(mutation, {"id": one}))[payload]
            changed = answer[noun]
            if answer["userErrors"]:
                fault = refusal(answer["userErrors"][0])
        except Refused as refused:
            fault = refused
        if fault:
            code = code or fault.exit_code
            screen.say(str(fault))
        elif not screen.as_json and changed:
            shown, text = state(changed)
            screen.line(f"{shown}  ", (text, COLOURS.get(text.partition(" ")[0], "")))
        error = {"code": fault.reason, "message": str(fault)} if fault else None
        results.append({"id": one, noun: changed, "error": error})
    if screen.as_json:
        screen.json({f"{noun}s": results})
    return code
