"""The policies that are shipped are those that docs/retention.md names."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.retention import DAY_S, HOUR_S, SHIPPED, Kind, grace_ms

DOC = Path(__file__).parents[2] / "docs" / "retention.md"
_UNITS = {"": 0, "day": DAY_S, "hour": HOUR_S}


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d*) ?(day|hour|)s?", text)
    assert found
    return int(found[1] or 1) * _UNITS[found[2]]


def test_the_table_of_the_documentation_is_true() -> None:
    table = re.findall(r"^\| `(\w+)` \| .* \| ([\w ]+) \| ([\w ]+) \|$", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    said = {kind: (seconds(kept), seconds(every)) for kind, kept, every in table}
    assert said == {str(kind): (one.keep_s, one.every_s) for kind, one in SHIPPED.items()}
    assert set(Kind) - set(SHIPPED) == {Kind.EVENT}
    assert all(one.keep_count is None and not one.queue for one in SHIPPED.values())


def test_jobs_are_safe_for_as_long_as_their_events_can_be_read() -> None:
    assert (grace_ms(600), grace_ms(1.0), grace_ms(3_600.5)) == (600_000, 60_000, 3_600_500)
