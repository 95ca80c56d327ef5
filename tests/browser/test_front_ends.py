"""The dashboard in Notebook 7 and Voilà, and the prompt cells of Notebook 7; skipped where these are not installed."""

from __future__ import annotations

import contextlib
import importlib.util
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.lab import SECONDS, Server, write_notebook
from tests.browser.test_dashboard import SETUP

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

CELLS = [SETUP, "%llx_dashboard", "llx.ask('why', profile='duo')", "%%llx --dry-run\nWhat of **{{ 1 + 1 }}**?"]

STILL = "div[class^=llx-still]"


@pytest.fixture(scope="module")
def front_end(request: pytest.FixtureRequest, running_lab: tuple[Browser, Server, Path]) -> Iterator[Page]:
    """A page in which all cells have run; skipped where the front end is not installed."""
    name, path = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"NOT RUN: pip install {name}")
    chromium, server, _home = running_lab
    write_notebook(server.root / f"in-{name}.ipynb", CELLS)
    with chromium.new_context(viewport={"width": 1200, "height": 1000}) as context:
        page = context.new_page()
        page.goto(f"{server.url}/{path}/in-{name}.ipynb?token={server.token}", timeout=SECONDS)
        if name == "notebook":
            expect(page.locator(".jp-CodeCell")).to_have_count(len(CELLS), timeout=SECONDS)
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        yield page
    for kernel in server.call("GET", "kernels"):
        with contextlib.suppress(urllib.error.HTTPError):  # it has ended by itself
            server.call("DELETE", f"kernels/{kernel['id']}")


@pytest.mark.parametrize("front_end", [("notebook", "notebooks"), ("voila", "voila/render")], indirect=True)
def test_it_lives_and_only_the_live_view_is_seen(front_end: Page) -> None:
    live = front_end.locator(".llx-dashboard")
    expect(live).to_have_count(1, timeout=SECONDS)
    expect(live.get_by_text("1 of 1 prompt answered")).to_be_visible(timeout=SECONDS)
    expect(front_end.locator(STILL)).to_be_hidden(timeout=SECONDS)
    live.get_by_role("button", name="Open circuit").click()
    expect(live.get_by_text("was opened by hand")).to_be_visible(timeout=SECONDS)


@pytest.mark.parametrize("front_end", [("notebook", "notebooks")], indirect=True)
def test_in_notebook_7_a_prompt_cell_is_markdown_with_python_in_its_expressions(front_end: Page) -> None:
    cells = front_end.locator(".jp-CodeCell")
    expect(cells.last.locator(".llx-expression")).to_have_text("{{ 1 + 1 }}", timeout=SECONDS)
    expect(cells.first.locator(".llx-expression")).to_have_count(0)
