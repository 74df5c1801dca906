"""Which QueueQL this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version of the installed package; `source` where QueueQL is run from its source."""
    try:
        return metadata.version("queueql")
    except metadata.PackageNotFoundError:
        return "source"
