"""How values look to people: times, lengths, amounts, progress. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.client.option import FINAL

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LENGTH = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNITS = ((604_800, "wk"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def safe(value: object) -> str:
    """Return a text that cannot steer a terminal: its control characters are written out."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), str(value))


def one_line(value: object) -> str:
    """Return a text without line breaks."""
    return " ".join(safe(value).split())


def moment(text: str) -> datetime:
    """Read a DateTime of the API as local time."""
    return datetime.fromisoformat(text).astimezone()


def local(text: str | None) -> str:
    """Return a time by the clock here."""
    return moment(text).strftime("%Y-%m-%d %H:%M:%S") if text else "-"


def clock(text: str) -> str:
    """Return the time of day, to the millisecond."""
    return moment(text).strftime("%H:%M:%S.%f")[:-3]


def relative(text: str | None, now: datetime) -> str:
    """Return how long ago a time is, or in how long it comes: `3 min ago`, `in 2 h`."""
    if not text:
        return "-"
    seconds = (now - moment(text)).total_seconds()
    size = next(((int(abs(seconds) // unit), name) for unit, name in _UNITS if abs(seconds) >= unit), None)
    if size is None:
        return "now"
    return f"{size[0]} {size[1]} ago" if seconds > 0 else f"in {size[0]} {size[1]}"


def both(text: str | None, now: datetime) -> str:
    """Return a time by the clock here, and how far off it is."""
    return f"{local(text)}  ({relative(text, now)})" if text else "-"


def seconds_of(text: str) -> float:
    """Read a Duration of the API. Raises ValueError."""
    found = _LENGTH.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no duration")
    units = (604_800, 86_400, 3_600, 60, 1)
    return sum(float(part) * unit for part, unit in zip(found.groups(), units, strict=True) if part)


def length(text: str | None) -> str:
    """Return a Duration of the API as people write it: `1.24 s`, `3 min 20 s`."""
    return seconds_text(seconds_of(text)) if text else "-"


def seconds_text(seconds: float) -> str:
    """Return a length of time as people write it."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    parts = []
    for unit, name in _UNITS:
        count, whole = divmod(whole, unit)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def size(count: str | int | None) -> str:
    """Return an amount of bytes."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def number(value: float) -> str:
    """Return a number without a tail of zeros."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(progress: Mapping[str, Any] | None) -> str:
    """Return how far a job has come, in few characters; empty where it does not say."""
    if not progress:
        return ""
    return f"{progress['percentage']:.0f}%" if progress["total"] else number(progress["done"])


def progress_text(progress: Mapping[str, Any] | None) -> str:
    """Return how far a job has come, in one line; empty where it does not say."""
    if not progress:
        return ""
    amount = number(progress["done"])
    if progress["total"]:
        amount = f"{amount}/{number(progress['total'])} ({progress['percentage']:.0f}%)"
    parts = [amount, progress["step"], progress["message"]]
    if progress["failed"]:
        parts.append(f"{progress['failed']:,} failed")
    return "  ".join(one_line(part) for part in parts if part)


def state_text(job: Mapping[str, Any]) -> str:
    """Return a job's state, with what belongs to it."""
    state: str = job["state"]
    if state not in FINAL and job["cancelRequested"]:
        return f"{state} cancelling"
    return f"{state} {percent(job['progress'])}".rstrip() if state == "ACTIVE" else state


def failure_text(failure: Mapping[str, Any] | None) -> str:
    """Return what went wrong, in one line."""
    return one_line(f"{failure['type']}: {failure['message']}") if failure else ""


def data(value: object) -> str:
    """Return a JSON value in one line."""
    return safe(json.dumps(value, ensure_ascii=False))


def log_line(line: Mapping[str, Any]) -> str:
    """Return a log line without its time and level: message, what was added, traceback."""
    context = line["context"] or {}
    if isinstance(context, dict):
        added = [f"{safe(name)}={data(value)}" for name, value in context.items()]
    else:
        added = [data(context)]
    text = "  ".join([safe(line["message"]), *added])
    return f"{text}\n{safe(line['stack']).rstrip()}" if line["stack"] else text


def count(value: Mapping[str, Any]) -> str:
    """Return a Count of the API."""
    return f"{value['value']:,}" + ("" if value["precision"] == "EXACT" else " or more")
