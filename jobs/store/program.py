"""PostgreSQL's own programs as child processes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO

from jobs.effort import of_process
from jobs.errors import BackupFailed
from jobs.process import ends_with_parent, signal_group

TIMEOUT_S = 12 * 3600.0
"""Of a program that makes or restores a copy. A server that has gone silent is given up by TCP before that."""
_VERSION_S = 10.0
_KILLED_S = 5.0
_CHUNK = 1 << 18
_SAID_MAX = 65_536
_FAULT = re.compile(r"\b(error|fatal): ", re.IGNORECASE)


class ProgramFailed(BackupFailed):
    """A program has ended with an exit code that is not 0, or by a signal (a negative one)."""

    def __init__(self, program: str, exit_code: int, fault: str) -> None:
        super().__init__(f"{program} has failed with exit code {exit_code} ({fault}).")
        self.program = program
        self.ended_with = exit_code
        self.fault = fault


async def major_version(program: str) -> int:
    """Return the first number of its version. Raises BackupFailed where it is not installed."""
    if shutil.which(program) is None:
        raise BackupFailed(
            f"There is no {program} on the PATH: install PostgreSQL's client programs"
            " (on Debian and Ubuntu: postgresql-client)."
        )
    try:
        async with asyncio.timeout(_VERSION_S), _started([program, "--version"], None, stdout=PIPE) as process:
            text, _ = await process.communicate()
    except TimeoutError:
        raise BackupFailed(f"{program} --version has not answered within {_VERSION_S:g} seconds.") from None
    found = re.search(rb"(\d+)", text)
    return int(found.group(1)) if found else 0


async def run(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Run a program to its end. Raises BackupFailed with the last that it said."""
    async with _bounded(argv[0]), _started(argv, environ) as process:
        await _finished(argv[0], process)


async def feed(
    source: Sequence[str], sink: Sequence[str], *, before: str, after: str, environ: Mapping[str, str]
) -> None:
    """Let one program read `before`, then what another one writes, and `after` once that one has ended well.

    Raises BackupFailed, ProgramFailed with the last that either said; `after` was not read then, or not to its end.
    """
    async with (
        _bounded(f"{source[0]} and {sink[0]}"),
        _started(sink, environ, stdin=PIPE) as reading,
        _started(source, environ, stdout=PIPE) as writing,
    ):
        assert reading.stdin  # noqa: S101  # asked for above
        assert writing.stdout  # noqa: S101  # as above
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its exit code tells why
            reading.stdin.write(before.encode())
            while chunk := await writing.stdout.read(_CHUNK):
                reading.stdin.write(chunk)
                await reading.stdin.drain()
            await _finished(source[0], writing)
            reading.stdin.write(after.encode())
            await reading.stdin.drain()
            reading.stdin.close()
        await _finished(sink[0], reading)


async def _finished(program: str, process: Process) -> None:
    assert process.stderr  # noqa: S101  # asked for below
    said = b""
    while chunk := await process.stderr.read(_CHUNK):
        said = (said + chunk)[-_SAID_MAX:]
    code = await process.wait()
    if code:
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        fault = next((line for line in lines if _FAULT.search(line)), lines[-1] if lines else "it said nothing")
        raise ProgramFailed(program, code, fault.strip()[:500])


@asynccontextmanager
async def _bounded(programs: str) -> AsyncIterator[None]:
    """Outside of what starts the programs, so that killing them is a part of it."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except TimeoutError:
        raise BackupFailed(f"Time is up: {programs} took longer than {TIMEOUT_S / 3600:g} hours.") from None


@asynccontextmanager
async def _started(
    argv: Sequence[str],
    environ: Mapping[str, str] | None,
    *,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] = DEVNULL,
) -> AsyncIterator[Process]:
    """Start a program for the block; it is killed where the block ends before it does."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=environ,
            stdin=stdin,
            stdout=stdout,
            stderr=PIPE,
            start_new_session=True,
            preexec_fn=ends_with_parent(signal.SIGKILL),  # no threads hold locks that it needs: two system calls
        )
    except FileNotFoundError:
        raise BackupFailed(f"There is no {argv[0]} on the PATH: install PostgreSQL's client programs.") from None
    try:
        with of_process(process.pid):
            yield process
    finally:
        if process.returncode is None:
            signal_group(process, signal.SIGKILL)
            # `wait` waits for the pipes too, and one that nobody reads from has no end while it is full.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILLED_S):
                    await process.communicate()
