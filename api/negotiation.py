"""Which form of an answer a client wants, from its Accept header."""

from __future__ import annotations

from dataclasses import dataclass

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
EVENTS = "text/event-stream"
HTML = "text/html"

_FORMS = (GRAPHQL, JSON)


@dataclass(frozen=True)
class Accepted:
    """What a client can read."""

    json: str | None
    """The media type to answer with; None where no JSON is wanted."""
    events: bool
    """Whether it reads a stream of server-sent events."""
    page: bool
    """Whether it is a browser that opens a page."""

    @classmethod
    def read(cls, header: str | None) -> Accepted:
        """Read an Accept header. Without one, or where anything will do, the answer is application/json."""
        ranges = qualities(header or "*/*")
        best, best_quality = None, 0.0
        for form in _FORMS:
            quality = _quality(form, ranges)
            # What is asked for by name comes before what a wildcard would take.
            if quality > best_quality or (quality == best_quality > 0 and form == JSON and GRAPHQL not in ranges):
                best, best_quality = form, quality
        return cls(best, ranges.get(EVENTS, 0.0) > 0, ranges.get(HTML, 0.0) > 0)


def qualities(header: str) -> dict[str, float]:
    """Read a header of the Accept family: what is listed in it, and how much it is wanted; 0: not at all."""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if not name:
            continue
        quality = next((value for value in parameters if value.startswith("q=")), "q=1")
        charset = next((value for value in parameters if value.startswith("charset=")), "charset=utf-8")
        try:
            found[name] = float(quality[2:]) if charset[8:].strip('"') in {"utf-8", "utf8"} else 0.0
        except ValueError:
            found[name] = 0.0
    return found


def _quality(form: str, ranges: dict[str, float]) -> float:
    return ranges.get(form, ranges.get("application/*", ranges.get("*/*", 0.0)))
