"""A server for each test, and kernels that are ended with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.shared.kit import PROGRAM, Kernel, RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that is up; it ends with the test."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def kernel(server: RedisServer) -> Iterator[Callable[..., Kernel]]:
    """Make what stands for a process that uses the server."""
    made: list[Kernel] = []

    def make(*backends, **settings) -> Kernel:
        made.append(Kernel(server.url, *backends, **settings))
        return made[-1]

    yield make
    for each in made:
        each.facts.close()
