"""The workers of a cluster that share facts are seen by everybody who shares the backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

import llx_magic as llx
from llx_magic.engine.background import BACKGROUND
from tests.cluster.conftest import READY_SECONDS
from tests.cluster.kit import TEMPLATE, rows, warm_up, workers_with
from tests.faults.server import FaultServer
from tests.shared.kit import PROGRAM, RedisServer

KEY = "a-key-of-the-test-1234567890"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of shared facts."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.stop()


def test_each_worker_is_seen_as_what_it_is(server: RedisServer, home: Path, store: Path, monkeypatch) -> None:
    """Two workers with a notebook's variables, as they inherit them, and the key; this process only looks."""
    env = {"LLX_SHARED": server.url, "TEAM_KEY": KEY, "JPY_SESSION_NAME": "analysis.ipynb"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with FaultServer() as model, workers_with(env, env) as cluster, Client(cluster) as client:
        settings = {"base-url": model.base_url, "auth-key-env": "TEAM_KEY", "rpm_limit": 6_000}
        document = {"version": 1, "provider": "vllm", "model": "m", "modelParams": {}, "ephemeralSettings": settings}
        path = home / "team.json"
        path.write_text(json.dumps(document))
        lb = llx.load(str(path), trust=True)
        client.wait_for_workers(2, timeout=READY_SECONDS)
        client.run(warm_up)
        for turn in range(5):  # until both have had rows
            result = BACKGROUND.run(lb.map(rows(60, f"turn {turn} row"), TEMPLATE, client=client, store=store))
            assert set(result.frame["llx_status"]) == {"answered"}
            found = BACKGROUND.run(lb.peers())
            if len(found) > 1:
                break
        assert list(found["name"]) == ["Dask worker", "Dask worker"]
        assert found["process"].nunique() == 2
        assert found["rpm_used"].min() >= 60  # or more, as long as places that were not used are on their way back
        assert not found["is_here"].any()
