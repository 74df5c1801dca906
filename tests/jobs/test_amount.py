"""Numbers of things, as sentences have them."""

from __future__ import annotations

import pytest

from jobs.amount import amount


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 attempts"), (1, "1 attempt"), (2, "2 attempts"), (10_000, "10,000 attempts")]
)
def test_one_is_no_plural(number: int, said: str) -> None:
    assert amount(number, "attempt") == said


def test_a_plural_without_an_s() -> None:
    assert [amount(number, "query", "queries") for number in (1, 2)] == ["1 query", "2 queries"]
