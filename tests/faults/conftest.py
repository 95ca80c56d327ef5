"""Every fault happens to both transports, and has the same verdict."""

from __future__ import annotations

import pytest

from llx_magic.backends.http_clients import CLIENTS, VARIABLE
from llx_magic.engine.background import BACKGROUND


@pytest.fixture(autouse=True, params=["aiohttp", "httpx"])
def transport(request, monkeypatch):
    """The transport that the test's connections are made by, those of the background loop included."""
    monkeypatch.setenv(VARIABLE, request.param)
    yield request.param
    if BACKGROUND.running:
        BACKGROUND.run(CLIENTS.close_loop())
