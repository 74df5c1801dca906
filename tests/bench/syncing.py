"""A process that syncs a small file of its own: syncing.py FILE. For `figures` on a line it says how that went.

It tells what the disk does without any database: its answer is a line of JSON, with the beginning (of `perf_counter`)
and the milliseconds of each sync since the last answer.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

PAUSE_S = 0.02


def main(path: str) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    syncs: list[tuple[float, float]] = []
    while True:
        asked, _, _ = select.select([sys.stdin], [], [], PAUSE_S)
        if asked:
            if not sys.stdin.readline():
                return
            sys.stdout.write(json.dumps(syncs) + "\n")
            sys.stdout.flush()
            syncs.clear()
        os.pwrite(file, os.urandom(8_192), 0)
        began_s = time.perf_counter()
        os.fdatasync(file)
        syncs.append((began_s, (time.perf_counter() - began_s) * 1000))


main(sys.argv[1])
