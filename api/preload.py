"""What the processes of `queueql up` import, imported once, before they are forked."""

from __future__ import annotations

from importlib import import_module

_MODULES = ("api.server", "jobs.services", "jobs.saq.process", "uvloop", "uvicorn.protocols.http.httptools_impl")


def everything() -> None:
    """Import it. Nothing of this opens a file, a connection or a thread."""
    for module in _MODULES:
        import_module(module)
