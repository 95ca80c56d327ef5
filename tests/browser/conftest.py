"""One JupyterLab and one chromium for all browser tests; both end with the run, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.browser.lab import CHROMIUM, LabPage, browser, lab_page, lab_server

NOT_RUN = "NOT RUN: apt-get install chromium"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    """JupyterLab in a page. Without chromium the test does not run and says so; under CI that is a failure."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail(NOT_RUN)
        pytest.skip(NOT_RUN)
    home = tmp_path_factory.mktemp("llxprt")
    environment = {"LLXPRT_CONFIG_HOME": str(home), "LLX_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with lab_server(environment) as server, browser() as chromium:
        yield lab_page(chromium, server, home=home)


@pytest.fixture(autouse=True)
def _clean_page(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close what a test opened, and start each with nothing observed."""
    if "lab" not in request.fixturenames:
        yield
        return
    page: LabPage = request.getfixturevalue("lab")
    page.forget()
    yield
    page.close_all()
