"""The whole gate, `./run test`: cheap checks first, then the tests; ends at the first step that fails.

`--long` adds the tests that run for minutes. Everything else goes to pytest: `./run test tests/jobs -k retry`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import promtool
from tests.chromium import NoChromium, executable
from tests.postgres_server import URL_VARIABLE, PostgresMissing, find_binaries

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

Step = tuple[str, list[str] | Callable[[], str]]
"""A name, and a command, or a function that returns what is wrong."""


def steps() -> list[Step]:
    scripts = ["run", ".ci/run", *map(str, sorted(Path("api/dashboard").glob("*.sh")))]
    return [
        ("format", ["ruff", "format", "--check", "."]),
        ("lint", ["ruff", "check", "."]),
        ("shell", ["shellcheck", *scripts]),
        ("dockerfile", ["hadolint", "docker/Dockerfile"]),
        ("compose", ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"]),
        ("imports", ["lint-imports", "--no-logo"]),
        ("types", ["mypy"]),
        ("schema", schema_is_fresh),
        ("dashboard", ["sh", "api/dashboard/check-bundle.sh"]),
        ("servers", servers_are_there),
    ]


def schema_is_fresh() -> str:
    """Compare schema.graphql with the code. A stale one is replaced by hand: ./run schema > schema.graphql."""
    printed = subprocess.run(
        [sys.executable, "-P", "-m", "queueql", "schema"], capture_output=True, text=True, check=False
    )
    if printed.returncode:
        return printed.stderr
    if printed.stdout != Path("schema.graphql").read_text(encoding="utf-8"):
        return "schema.graphql is stale: ./run schema > schema.graphql"
    return ""


def servers_are_there() -> str:
    """Find the servers and programs of the tests, or get them: here, since two processes cannot use apt at once."""
    try:
        if not os.environ.get(URL_VARIABLE):
            find_binaries()
        executable(lambda text: print(text, flush=True))
        promtool.executable()
    except (PostgresMissing, NoChromium, promtool.NoPromtool) as missing:
        return str(missing)
    return ""


SPEAKS = {"dashboard"}
"""Steps whose last word is shown also when they pass: without Node they do not check, and say so."""


def outcome_of(action: list[str] | Callable[[], str]) -> tuple[bool, str]:
    """Tell whether a step failed, and what it said."""
    if callable(action):
        fault = action()
        return bool(fault), fault
    program = BIN / action[0]
    argv = [str(program) if program.exists() else action[0], *action[1:]]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode != 0, done.stdout.strip() or f"exit code {done.returncode}"


def pytest_arguments(given: list[str]) -> list[str]:
    long = "--long" in given
    rest = [argument for argument in given if argument != "--long"]
    marks = [] if long else ["-m", "not long"]
    return ["-n", "2", "--dist", "loadfile", *marks, *rest]


def main() -> int:
    os.chdir(ROOT)
    for name, action in steps():
        started = time.monotonic()
        failed, said = outcome_of(action)
        remark = f"  {said.splitlines()[-1]}" if name in SPEAKS and said and not failed else ""
        print(f"{'FAIL' if failed else 'ok':<6}{name:<12}{time.monotonic() - started:6.1f} s{remark}", flush=True)
        if failed:
            print(said)
            return 1
    started = time.monotonic()
    code = subprocess.run([sys.executable, "-m", "pytest", *pytest_arguments(sys.argv[1:])], check=False).returncode
    print(f"{'FAIL' if code else 'ok':<6}{'tests':<12}{time.monotonic() - started:6.1f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
