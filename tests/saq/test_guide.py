"""docs/from-saq.md: its application runs as the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "from-saq.md").read_text(encoding="utf-8")
SAQS_WORKER = [str(Path(sys.executable).with_name("saq")), "shop.settings"]
OUR_WORKER = [sys.executable, "work.py"]


def blocks(language: str) -> dict[str, str]:
    """The page's blocks in a language, by the name that follows it."""
    return dict(re.findall(rf"^```{language} ?(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def shop(folder: Path) -> Path:
    """The page's files, with the new import."""
    for name, text in blocks("python").items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    for name, diff in blocks("diff").items():
        lines = diff.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        file = folder / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
    return folder


@contextmanager
def working(command: list[str], shop: Path, environ: dict[str, str]) -> Iterator[Path]:
    log = shop / "worker.log"
    with log.open("wb") as to:
        worker = subprocess.Popen(command, cwd=shop, env=environ, stdout=to, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        worker.terminate()
        assert worker.wait(20) == 0, log.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [SAQS_WORKER, OUR_WORKER], ids=["SAQ's worker", "our worker"])
def test_application_says_what_the_page_says(command: list[str], shop: Path, redis_url: str) -> None:
    environ = {**os.environ, "REDIS_URL": redis_url, "PYTHONPATH": str(shop)}
    with working(command, shop, environ) as log:
        said = subprocess.run(
            [sys.executable, "buy.py"], cwd=shop, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
    printed = re.search(r"\$ python buy\.py\n(receipt.*?)```", PAGE, re.DOTALL)
    assert printed
    assert said.stdout == printed[1], said.stderr + log.read_text(encoding="utf-8")
    worked = log.read_text(encoding="utf-8")
    assert "charge queued" in worked
    assert "charge complete" in worked
    assert "export aborted" in worked
    assert "tidied" in worked


def test_task_of_the_page_runs_among_functions(shop: Path, redis_url: str) -> None:
    shop.joinpath("work.py").write_text(
        blocks("python")["work.py"].replace(
            "asyncio.run", 'from typed import refund\nsettings["functions"].append(refund)\nasyncio.run'
        )
    )
    environ = {**os.environ, "REDIS_URL": redis_url, "PYTHONPATH": str(shop)}
    call = "import asyncio, shop; print(asyncio.run(shop.queue.apply('refund', order=1, cents=50)))"
    with working(OUR_WORKER, shop, environ):
        said = subprocess.run(
            [sys.executable, "-c", call], cwd=shop, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
    assert said.stdout == "refunded 50 of 1\n", said.stderr


def test_query_of_the_page_is_in_the_schema() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    assert validate(schema, parse(blocks("graphql")[""])) == []
