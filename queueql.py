"""The command `queueql`, also as `python -m queueql`.

A module of its own beside the packages `api` and `jobs`: those are common names, and where a user's own package of
that name comes first, nothing inside of ours can say so any more.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_EXIT_SHADOWED = 11  # jobs.errors.PackageShadowed, which cannot be imported in this case


def shadowing(name: str) -> Path | None:
    """Folder or file of a foreign package that Python finds instead of QueueQL's own; None where ours is found."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).resolve()
    found = found.parent if found.name == "__init__.py" else found
    return None if found == _HERE / name else found


def main() -> None:
    """Run the command line. The user's folder is importable, after everything else."""
    for name in ("jobs", "api"):
        other = shadowing(name)
        if other is not None:
            sys.stderr.write(
                f"queueql: {other} hides QueueQL's own package `{name}`: rename it, or take {other.parent} off the "
                "front of PYTHONPATH.\n"
            )
            sys.exit(_EXIT_SHADOWED)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    from api.cli import run  # noqa: PLC0415  # only after the check above

    run()


if __name__ == "__main__":
    main()
