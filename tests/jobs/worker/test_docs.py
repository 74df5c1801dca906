"""docs/tasks.md does what it says."""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from jobs.job import Reason, State
from tests.jobs.worker.works import Works

DOC = Path(__file__).parents[3] / "docs" / "tasks.md"


@pytest.fixture
def reports(works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    found = re.search(r"```python reports.py\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (tmp_path / "reports.py").write_text(found[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys.modules["jobs.task"], "default_registry", works.registry)
    yield importlib.import_module("reports")
    del sys.modules["reports"]


@pytest.mark.usefixtures("reports")
async def test_the_examples(works: Works) -> None:
    await works.start()
    rendered = await works.run("render", args={"pages": 3})
    assert rendered.result["pages"] == 3
    assert rendered.result["process"] != os.getpid()
    began = time.monotonic()
    stubborn = await works.run("stubborn")
    assert 2.5 < time.monotonic() - began < 8
    assert stubborn.error is not None
    assert (stubborn.state, stubborn.error.type) == (State.DEAD, "TIMEOUT")
    fragile = await works.run("fragile")
    assert (fragile.reason, fragile.crashes) == (Reason.POISON, 3)
