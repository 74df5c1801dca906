"""Names that a request is narrowed down to. No I/O."""

from __future__ import annotations

from jobs.errors import InvalidOption


def check_names(**given: str | None) -> None:
    """Raise InvalidOption where a name, by its argument, is one that nothing can have; None names nothing."""
    for argument, name in given.items():
        if name == "":
            raise InvalidOption(f"`{argument}` is empty; give a name.", path=(argument,))
        if name and "\x00" in name:
            raise InvalidOption(f"`{argument}` has a NUL character, which no name can have.", path=(argument,))
