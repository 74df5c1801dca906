"""Tasks that run in processes of their own, which find them by importing this module."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from jobs import Cancel, Context, Interrupted, Retry, fixed, task
from jobs.task import Registry

registry = Registry()
QUICK = fixed(0.01)


@task(registry=registry, isolation="process")
def who(ctx: Context, factor: int = 2) -> dict[str, Any]:
    ctx.info("here", pid=os.getpid())
    ctx.progress(1, of=2, step="half")
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "attempt": ctx.attempt,
        "doubled": factor * 2,
        "sockets": open_sockets(),
        "inherited": [fd for fd in range(3, 64) if _is_inheritable(fd)],
        "key": ctx.idempotency_key,
    }


def open_sockets() -> list[str]:
    return [name for name in map(_target, Path("/proc/self/fd").iterdir()) if name.startswith("socket:")]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@task(registry=registry, isolation="process")
def burn_apart(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@task(registry=registry, isolation="process")
def burn_beside() -> None:
    """Leave work to a program of its own."""
    program = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-S", "-c", program], check=True)


@task(registry=registry, isolation="process")
async def who_async(ctx: Context) -> int:
    await ctx.progress(1, of=1)
    await asyncio.sleep(0)
    return os.getpid()


@task(registry=registry, isolation="process", max_attempts=2, backoff=QUICK)
def flaky(ctx: Context) -> str:
    if ctx.attempt == 1:
        raise Retry(0.01, "not yet")
    return "done"


@task(registry=registry, isolation="process")
def give_up() -> None:
    raise Cancel("nothing to do")


@task(registry=registry, isolation="process")
def no_json() -> Any:
    return {"value": float("nan")}


@task(registry=registry, isolation="process")
def flood(size: int) -> str:
    return "x" * size


@task(registry=registry, isolation="process")
def die(number: int = signal.SIGSEGV) -> None:
    os.kill(os.getpid(), number)
    time.sleep(30)


@task(registry=registry, isolation="process")
def leave(code: int) -> None:
    os._exit(code)


@task(registry=registry, isolation="process")
def leave_a_program(note: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(note).write_text(str(program.pid))
    os._exit(1)


@task(registry=registry, isolation="process", timeout=0.3, max_attempts=1)
def stuck(ctx: Context, note: str = "") -> None:
    """Do not look whether it is to end."""
    ctx.progress(1)
    if note:
        program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(note).write_text(f"{os.getpid()} {program.pid}")
    while True:
        sum(range(1_000_000))


@task(registry=registry, isolation="process", timeout=0)
def stuck_for_ever(ctx: Context) -> None:
    stuck.function(ctx)


@task(registry=registry, isolation="process", timeout=0)
async def stuck_async(ctx: Context) -> None:
    await ctx.progress(1)
    stuck.function(ctx)


@task(registry=registry, isolation="process", timeout=0)
def patient(ctx: Context) -> None:
    ctx.progress(1)
    while True:
        time.sleep(0.005)
        ctx.check()


@task(registry=registry, isolation="process", timeout=0)
async def hang(ctx: Context) -> None:
    await ctx.progress(1)
    try:
        await asyncio.Event().wait()
    finally:
        ctx.info("cleaned up")


@task(registry=registry, isolation="process", timeout=0)
async def stubborn(ctx: Context) -> str:
    await ctx.progress(1)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "finished anyway"
    return "never"


@task(registry=registry, isolation="process", max_attempts=1)
async def turn_down() -> str:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    return "done"


@task(registry=registry, isolation="process")
def resume(ctx: Context) -> list[Any]:
    found = ctx.checkpoint
    if found is None:
        ctx.save({"page": 7})
        os._exit(1)
    return [found, ctx.attempt, ctx.failures]


@task(registry=registry, isolation="process")
def leave_a_voice(ctx: Context, path: str) -> int:
    """Leaves a thread that says something when the job has long ended."""

    def speak() -> None:
        while not Path(path).exists():
            time.sleep(0.01)
        ctx.info("who is this?")
        ctx.progress(77, of=100)
        with contextlib.suppress(Interrupted):
            ctx.save("not mine")
        Path(path).unlink()

    threading.Thread(target=speak, daemon=True).start()
    return os.getpid()


@task(registry=registry, isolation="process")
def listen(ctx: Context, path: str) -> list[Any]:
    Path(path).touch()
    while Path(path).exists():
        time.sleep(0.01)
    return [os.getpid(), ctx.checkpoint]


@task(registry=registry, isolation="process")
async def save_in_passing(ctx: Context) -> None:
    ctx.save("who waits for it?")


@task(registry=registry, isolation="process")
async def save_and_wait(ctx: Context) -> float:
    begun = time.monotonic()
    await ctx.save("mine")
    return time.monotonic() - begun
