"""PostgreSQL's programs as child processes: whichever ends first, the other one ends too."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from jobs.errors import BackupFailed
from jobs.store import program
from jobs.store.program import ProgramFailed, feed, major_version, run

READS_A_LITTLE = ["sh", "-c", "head -c 9 >/dev/null; echo the connection is lost >&2; exit 2"]


async def test_a_reader_that_ends_in_the_middle_is_told() -> None:
    async with asyncio.timeout(10):
        with pytest.raises(ProgramFailed, match=r"sh has failed with exit code 2 \(the connection is lost\)") as caught:
            await feed(["yes", "a row"], READS_A_LITTLE, before="BEGIN;\n", after="COMMIT;\n", environ=os.environ)
    assert (caught.value.program, caught.value.ended_with) == ("sh", 2)


async def test_programs_that_take_too_long_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIMEOUT_S", 0.1)
    async with asyncio.timeout(10):
        with pytest.raises(BackupFailed, match="Time is up: yes and sleep"):
            await feed(["yes"], ["sleep", "60"], before="", after="", environ=os.environ)
        with pytest.raises(BackupFailed, match="Time is up: sleep"):
            await run(["sleep", "60"], os.environ)


async def test_a_program_that_does_not_say_its_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = tmp_path / "frozen"
    frozen.write_text("#!/bin/sh\nexec sleep 60\n")
    frozen.chmod(0o755)
    monkeypatch.setattr(program, "_VERSION_S", 0.1)
    async with asyncio.timeout(10):
        with pytest.raises(BackupFailed, match=r"frozen --version has not answered within 0\.1 seconds"):
            await major_version(str(frozen))
