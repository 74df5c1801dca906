from __future__ import annotations

import pytest

from jobs.client import Client
from tests.jobs.tasks import registry


@pytest.fixture(autouse=True)
async def _published(client: Client) -> None:
    await client.commands.task.publish(registry.definitions())
