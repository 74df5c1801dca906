"""Chromium for the tests of what a browser gets: the one of the system, installed where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",  # root may not use the sandbox, and the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


class NoChromium(Exception):
    """There is no Chromium, and the tests cannot install one."""


def executable(say: Callable[[str], None]) -> str:
    """Path of Chromium. Root on Debian installs it where it is missing, and `say` is told.

    Raises NoChromium.
    """
    found = _find()
    if found and _driver_runs():
        return found
    missing = "libatomic1" if found else "chromium libatomic1"
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists() or not shutil.which("apt-get"):
        raise NoChromium(f"The browser tests need what is missing here: on Debian, apt-get install {missing}.")
    say(f"The browser tests need what is missing here: apt-get install {missing}.")
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing.split()]):
        _apt(command)
    found = _find()
    if found and _driver_runs():
        return found
    raise NoChromium(f"apt-get installed {missing}, and still Chromium or Playwright's driver does not run.")


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Chromium without a window, until the block ends."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


def _find() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _driver_runs() -> bool:
    """Whether Playwright's own Node does; it needs a library that a small Debian does not have."""
    node, _ = compute_driver_executable()
    return subprocess.run([node, "--version"], capture_output=True, check=False).returncode == 0


def _apt(arguments: list[str]) -> None:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-q", *arguments],  # noqa: S607  # Debian's own, wherever it is
        env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:]
        raise NoChromium(f"apt-get {arguments[0]} failed, so there is no Chromium: {''.join(last)}")
