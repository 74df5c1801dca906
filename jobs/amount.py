"""Numbers of things, as sentences have them."""

from __future__ import annotations


def amount(number: int, thing: str, things: str = "") -> str:
    """Return a number with its noun: `1 job`, `2,000 jobs`. `things` is a plural that is not made by an s."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
