"""One cluster of two workers for all tests that do not need another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, SpecCluster

from tests.cluster.kit import wait_until_ready, workers_with
from tests.home import own_home

READY_SECONDS = 60


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory) -> Iterator[SpecCluster]:
    """Two workers that find nothing of the user's; a nanny starts a new one where one dies."""
    home = str(tmp_path_factory.mktemp("worker"))
    with workers_with(*2 * [{"LLXPRT_CONFIG_HOME": home}]) as cluster:
        yield cluster


@pytest.fixture
def client(two_workers: SpecCluster, home) -> Iterator[Client]:
    with Client(two_workers, set_as_default=False) as made:
        wait_until_ready(made, 2)
        yield made


@pytest.fixture
def home(tmp_path, monkeypatch):
    return own_home(tmp_path, monkeypatch)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "replies.sqlite"
