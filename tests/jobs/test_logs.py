"""What is logged of libraries."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import logging
from jobs import logs

logs.set_up("test", level="INFO", json=False)
try:
    raise TimeoutError("frozen")
except TimeoutError:
    logging.getLogger("asyncpg.pool").warning("Failed to restore %s", "it", exc_info=True)
"""


def test_a_pool_that_waits_for_its_server_says_so_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=30)
    (line,) = done.stderr.splitlines()
    assert "Failed to restore it: TimeoutError: frozen" in line
