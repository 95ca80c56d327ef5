"""The notebooks whose replies stream in real time: run whole, without comparing outputs."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def test_the_background_notebook_runs_and_its_streamed_cell_ends_whole(tmp_path: Path) -> None:
    """Every cell succeeds, and the streamed output is the whole reply with its footer, redrawn in one output."""
    notebook = nbformat.read(NOTEBOOKS / "background.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    streamed = next(cell for cell in notebook.cells if cell.source.startswith("%%llx\n"))
    (output,) = streamed.outputs
    assert output["output_type"] == "display_data"
    text = output["data"]["text/plain"]
    assert text.startswith("This is a reply that comes word by word")
    assert "talker (small)" in text
