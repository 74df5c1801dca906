from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobs.broker import Broker, Session
from tests.factories import make_settings, make_worker_info


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[Broker]:
    broker = await Broker.open(redis_url, make_settings())
    await broker.raise_epoch(1)
    yield broker
    await broker.close()


@pytest.fixture
async def session(broker: Broker) -> AsyncIterator[Session]:
    session = await broker.open_session(make_worker_info())
    yield session
    await session.close()
