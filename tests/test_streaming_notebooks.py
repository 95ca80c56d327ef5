"""The notebooks whose replies stream in real time: run whole, without comparing outputs."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def run(name: str, folder: Path) -> NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()
    return notebook


def test_the_background_notebook_runs_and_its_streamed_cell_ends_whole(tmp_path: Path) -> None:
    """Every cell succeeds, and the streamed output is the whole reply with its footer, redrawn in one output."""
    notebook = run("background.ipynb", tmp_path)
    streamed = next(cell for cell in notebook.cells if cell.source.startswith("%%llx\n"))
    (output,) = streamed.outputs
    assert output["output_type"] == "display_data"
    text = output["data"]["text/plain"]
    assert text.startswith("This is a reply that comes word by word")
    assert "talker (small)" in text


def test_the_dashboard_notebook_runs_and_keeps_a_picture(tmp_path: Path) -> None:
    """Every cell succeeds, and the dashboard's cell holds a widget and below it, for a saved notebook, a table."""
    notebook = run("dashboard.ipynb", tmp_path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "%llx_dashboard" in cell.source]
    assert cells
    for cell in cells:
        live, still = (output["data"] for output in cell.outputs if "data" in output)
        assert "application/vnd.jupyter.widget-view+json" in live
        assert "<table" in still["text/html"]
