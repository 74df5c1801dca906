from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobs.store import Store
from tests.jobs.store.past import Past
from tests.jobs.store.story import Story


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


@pytest.fixture
def story(store: Store) -> Story:
    """Tells the store what happened."""
    return Story(store)


@pytest.fixture
def past(store: Store, story: Story) -> Past:
    """Makes jobs that ended long ago."""
    return Past(store, story)
