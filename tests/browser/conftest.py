"""One JupyterLab and one chromium for all browser tests, and a page of its own for each; all end with the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.lab import CHROMIUM, LabPage, Server, browser, lab_page, lab_server

NOT_RUN = "NOT RUN: apt-get install chromium"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser of all tests. Without chromium no test runs; under CI that is a failure."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail(NOT_RUN)
        pytest.skip(NOT_RUN)
    with browser() as found:
        yield found


@pytest.fixture(scope="session")
def page(chromium: Browser) -> Iterator[Page]:
    """One page for all tests that set its content themselves."""
    with chromium.new_context(viewport={"width": 1200, "height": 4000}) as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def running_lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Server, Path]]:
    """Chromium, JupyterLab and its folder of profiles."""
    home = tmp_path_factory.mktemp("llxprt")
    environment = {"LLXPRT_CONFIG_HOME": str(home), "LLX_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with lab_server(environment) as server:
        yield chromium, server, home


@pytest.fixture
def lab(running_lab: tuple[Browser, Server, Path]) -> Iterator[LabPage]:
    """JupyterLab in a page that no other test has touched; what the test opened is closed after it."""
    chromium, server, home = running_lab
    with lab_page(chromium, server, home=home) as page:
        page.forget()
        yield page
        page.close_all()
