"""Every fault happens to both transports, and has the same verdict."""

from __future__ import annotations

import pytest

from llx_magic.backends.http.connections import CLIENTS, VARIABLE
from llx_magic.backends.http.trust import VARIABLES as CERTIFICATES
from llx_magic.engine.background import BACKGROUND


@pytest.fixture(autouse=True, params=["direct", "httpx"])
def transport(request, monkeypatch):
    """The transport that the test's connections are made by, those of the background loop included."""
    monkeypatch.setenv(VARIABLE, request.param)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield request.param
    if BACKGROUND.running:
        BACKGROUND.run(CLIENTS.close_loop())
