"""Stores for what should work with each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.kit import Bench
from tests.engine.stores import STORES


@pytest.fixture(params=STORES)
def each_store(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the benches of a test keep their state in each kind of store, one after the other."""
    usual, Bench.store = Bench.store, STORES[request.param]
    yield
    Bench.store = usual
