"""Every fault happens to both transports, and has the same verdict."""

from __future__ import annotations

import pytest

from llx_magic.backends.http_clients import VARIABLE


@pytest.fixture(autouse=True, params=["aiohttp", "httpx"])
def transport(request, monkeypatch):
    """The transport that the test's connections are made by."""
    monkeypatch.setenv(VARIABLE, request.param)
    return request.param
