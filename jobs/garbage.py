"""How often the API and the services look for garbage that refers to itself."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 20, 20)
"""For `gc.set_threshold`. Python's own 700 objects are fewer than one answer of the API or one batch of events makes:
the collector then goes through objects that are all still in use, again and again. It took a fifth of the time of a
series of statistics. Workers keep what Python has: what tasks leave behind may be few objects, but large ones."""


def collect_rarely() -> None:
    """Let the collector wait until there may be something to collect. Anything else is freed at once all the same."""
    gc.set_threshold(*THRESHOLDS)
