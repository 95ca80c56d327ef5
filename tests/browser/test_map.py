"""What a person sees in JupyterLab while rows are asked: one bar, a row for each backend, then the result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.lab import LabPage, Notebook
from tests.browser.test_cells import load, words_then_hold
from tests.browser.test_dashboard import CONTRAST
from tests.faults.server import FaultServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LIMITED = "%llx_set concurrency 2"
MAP = "%%llx_map words -o answered\nSay {{ row }}."

A_QUARTER = """() => {
    const bar = document.querySelector('.jp-OutputArea [role=progressbar]');
    const width = e => e.getBoundingClientRect().width;
    return Math.abs(width(bar.firstElementChild) / width(bar) - .25) < .01;
}"""
"""Whether a quarter of the bar is filled; asked until it is, since the bar may be redrawn meanwhile."""


SIZES = """e => [...new Set([...e.querySelectorAll('div, th, td')]
    .filter(each => !each.children.length && each.textContent).map(each => getComputedStyle(each).fontSize))]"""
"""The sizes of the words of an output."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer("ok", text="It is said.") as found:
        yield found


def started(lab: LabPage, server: FaultServer, name: str) -> Notebook:
    """Open a notebook whose map has two rows answered, and two under way that are held back."""
    server.script("ok", "ok")
    server.set_default(words_then_hold(1))
    rows = f"words = [f'{name} {{number}}' for number in range(8)]"  # that no other test has stored
    notebook = lab.open(name, [load(server, more=f"{LIMITED}\n{rows}"), MAP])
    notebook.run(0)
    notebook.start(1)
    expect(notebook.output(1)).to_contain_text("2 of 8 rows")
    return notebook


def test_the_bar_tells_how_far_it_is_and_how_each_backend_stands(lab: LabPage, server):
    notebook = started(lab, server, "bar.ipynb")
    output = notebook.output(1)
    bar = output.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "25")
    told = ["▪ b0", "100.0%", "2", "2", "2", "closed"]
    expect(output.locator("tr").nth(1).locator("td")).to_have_text(told)
    lab.wait(A_QUARTER)
    server.release()
    notebook.finished()


def test_its_words_can_be_read_in_both_themes(lab: LabPage, server):
    notebook = started(lab, server, "themes.ipynb")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.execute("apputils:change-theme", {"theme": theme})
        notebook.finished()
        notebook.page.wait_for_timeout(1500)  # the theme's style sheet is fetched
        assert notebook.output(1).evaluate(CONTRAST) >= 4.5
    server.release()


def test_the_result_takes_the_place_of_the_bar(lab: LabPage, server):
    notebook = started(lab, server, "result.ipynb")
    server.release()
    server.set_default("ok")
    notebook.finished()
    output = notebook.output(1)
    expect(output).to_contain_text("8 rows · 8 answered")
    expect(output.locator(".jp-OutputArea-output")).to_have_count(1)
    expect(output.get_by_role("progressbar")).to_have_count(0)
    assert len(output.evaluate(SIZES)) == 1


def test_the_stop_button_keeps_what_is_finished_and_the_cell_goes_on_when_it_runs_again(lab: LabPage, server):
    notebook = started(lab, server, "stop.ipynb")
    notebook.interrupt()
    expect(notebook.output(1)).to_contain_text("2 of 8 rows are finished and kept; the cell, run again, asks only")
    expect(notebook.output(1)).to_contain_text("6 not asked")
    server.release()
    server.set_default("ok")
    notebook.run(1)
    expect(notebook.output(1)).to_contain_text("2 from the store")
