"""docs/batches.md does what it says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from jobs.testing import Rehearsal

DOC = Path(__file__).parents[2] / "docs" / "batches.md"


@pytest.fixture
def newsletter(tmp_path: Path) -> ModuleType:
    found = re.search(r"```python newsletter.py\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    path = tmp_path / "newsletter.py"
    path.write_text(found[1], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("newsletter", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_example_goes_on_behind_its_last_chunk(
    newsletter: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = newsletter.send

    async def send_until_the_end(address: str) -> None:
        sent.append(address)
        if len(sent) == 150:
            raise SystemExit
        await send(address)

    monkeypatch.setattr(newsletter, "send", send_until_the_end)
    job = Rehearsal(newsletter.send_newsletter, {"mode": "FULL"})
    with pytest.raises(SystemExit):
        await job.attempt()
    ran = await job.attempt()
    assert sent == sorted(sent[:100]) + sorted(newsletter.SUBSCRIBERS)[100:150] + sorted(newsletter.SUBSCRIBERS)[100:]
    assert (ran.result["sent"], ran.result["failed"]) == (249, 1)
    assert ran.result["which"][0]["type"] == "ConnectionRefusedError"


async def test_the_incremental_mode_takes_those_that_changed(newsletter: ModuleType) -> None:
    job = Rehearsal(newsletter.send_newsletter, {"since": "2026-01-28"})
    assert (await job.attempt()).result == {"sent": 8, "failed": 0, "which": []}
