from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobs.broker import Broker
from tests.factories import make_settings
from tests.jobs.worker.works import Works


@pytest.fixture
async def works(redis_url: str) -> AsyncIterator[Works]:
    broker = await Broker.open(redis_url, make_settings())
    await broker.raise_epoch(1)
    works = Works(broker)
    yield works
    await works.close()
    await broker.close()
