"""The schema: types, queries, mutations and subscriptions, one file per noun."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.task import TaskDefinition


def print_sdl(tasks: Sequence[TaskDefinition] = ()) -> str:
    """Return the schema in its own language, with the mutations of these tasks.

    Raises api.schema.names.NameClash where two of them would need the same name.
    """
    from api.schema.base import sdl  # noqa: PLC0415  # the base imports every type of this package
    from api.schema.live import build  # noqa: PLC0415  # as above

    built = build(tasks)
    if built.clashes:
        raise built.clashes[0]
    return sdl(built.schema)
