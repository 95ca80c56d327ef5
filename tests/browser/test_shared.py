"""The processes that share the backends, in the dashboard of a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.lab import LabPage, Notebook
from tests.browser.test_dashboard import CONTRAST, OVERFLOWING
from tests.faults.server import FaultServer
from tests.shared.kit import PROGRAM, RedisServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

EVIL = "<img src=x onerror='window.__pwned=1'>.py"

OTHER = "import time, llx_magic as llx\nllx.ask('why', profile='team')\nprint('asked', flush=True)\ntime.sleep(600)"

SAVE = """%load_ext llx_magic
import os, llx_magic as llx
os.environ["LLX_SHARED"] = {url!r}
%llx_profile save model large --provider vllm --base-url {large} --model m
%llx_profile save model small --provider vllm --base-url {small} --model m
%llx_profile save loadbalancer team failover large small --set rpm_limit=240
%llx_profile load team
llx.ask("why")"""


@pytest.fixture
def notebook(lab: LabPage, tmp_path: Path) -> Iterator[Notebook]:
    """A notebook with a dashboard, whose backends another process shares that has an evil name."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    server = RedisServer(tmp_path)
    server.start()
    with FaultServer() as large, FaultServer() as small:
        setup = SAVE.format(url=server.url, large=large.base_url, small=small.base_url)
        notebook = lab.open("shared.ipynb", [setup, "%llx_dashboard", "%llx_stats --all"])
        notebook.run(0)
        env = {"LLXPRT_CONFIG_HOME": str(lab.home), "LLX_SHARED": server.url, "LLX_SHARED_NAME": EVIL}
        other = subprocess.Popen([sys.executable, "-c", OTHER], env={**os.environ, **env}, stdout=subprocess.PIPE)
        try:
            assert other.stdout.readline() == b"asked\n"
            yield notebook
        finally:
            other.kill()
            other.communicate()
            server.stop()


def test_the_dashboard_shows_them_as_text_in_both_themes_and_on_a_narrow_page(notebook: Notebook, lab: LabPage) -> None:
    notebook.run(1)
    shown = notebook.output(1).locator(".llx-dashboard")
    shown.get_by_text("shared by 2 processes").wait_for()
    shown.get_by_text("shared.ipynb (").wait_for()
    shown.get_by_text("<img src=x").wait_for()
    assert shown.locator("img").count() == 0
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.execute("apputils:change-theme", {"theme": theme})
        notebook.finished()
        notebook.page.wait_for_timeout(1500)  # the theme's style sheet is fetched
        assert shown.evaluate(CONTRAST) >= 4.5
    notebook.page.set_viewport_size({"width": 900, "height": 1000})
    notebook.page.wait_for_timeout(500)
    assert shown.evaluate(OVERFLOWING) == 0
    assert notebook.page.evaluate("() => window.__pwned") is None
    assert lab.errors == []


def test_the_statistics_of_all_are_two_tables(notebook: Notebook) -> None:
    notebook.run(2)
    tables = notebook.rendered(2).locator("table")
    assert tables.count() == 2
    assert "2 of 240" in tables.nth(0).inner_text()
    assert "shared.ipynb" in tables.nth(1).inner_text()
    assert notebook.page.evaluate("() => window.__pwned") is None
