"""An executed notebook as a page of its own holds the replies, safely, with the line that says who answered."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter, PythonExporter

HOSTILE = (
    "A **bold** claim.\n\n<script>window.hacked = 1</script>\n\n<img src=x onerror=alert(1)>\n\n"
    "[link](javascript:alert(1)) ![pixel](https://evil.example/pixel.png)\n"
)


@pytest.fixture
def notebook(pair: str, first, tmp_path: Path):
    """A notebook with a streamed reply of hostile text, one that is the value of a cell, and statistics."""
    first.text = HOSTILE
    cells = ["%load_ext llx_magic", f"%llx_profile load {pair}", "%%llx\nhello", "_llx", "%llx_stats lb", "%llx_set"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    return made


def test_the_page_holds_the_reply_and_its_footer_and_nothing_of_it_can_run(notebook):
    page, _resources = HTMLExporter().from_notebook_node(notebook)
    body = page.partition("<main>")[2] or page.partition("<body")[2]
    assert body.count("<strong>bold</strong>") == 2
    assert "<summary>first (first-model)" in body
    assert "window.hacked = 1</script>" not in body
    assert "&lt;script&gt;window.hacked" in body
    assert "onerror=alert(1)&gt;" in body
    assert "<img src=x" not in body
    assert 'href="javascript:' not in body
    assert 'src="https://evil.example' not in body


def test_no_output_offers_the_reply_as_markdown_that_a_front_end_would_run(notebook):
    for cell in notebook.cells:
        for output in cell.outputs:
            assert "text/markdown" not in output.get("data", {})


@pytest.mark.parametrize("exporter", [MarkdownExporter, PythonExporter])
def test_other_forms_can_be_made_of_the_notebook(notebook, exporter):
    text, _resources = exporter().from_notebook_node(notebook)
    assert "hello" in text


def test_the_notebook_is_valid_as_it_is_saved(notebook):
    assert nbformat.validator.isvalid(notebook)
