"""The product with the tasks of a shop, and the command line that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.command_line import CommandLine
from tests.system.product import Product


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("p"), tasks="tests.system.shop_tasks") as product:
        yield product


@pytest.fixture(scope="module")
def queueql(product: Product) -> CommandLine:
    return CommandLine(product.url)
