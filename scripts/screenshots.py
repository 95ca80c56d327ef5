"""Takes the pictures in docs/images, light and dark: of the quickstart notebook, and of the dashboard.

    python scripts/screenshots.py quickstart  # runs the notebook in a JupyterLab of its own
    python scripts/screenshots.py dashboard   # the still picture that its notebook was last saved with

Needs Debian's chromium, what ``pip install -e .[test]`` installs, and for the first the embedded model
(``llx local pull``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.lab import Notebook, browser, lab_page, lab_server  # noqa: E402
from tests.browser.test_pictures import PAGE, theme  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
DASHBOARD = ROOT / "notebooks" / "dashboard.ipynb"
IMAGES = ROOT / "docs" / "images"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
WIDTH = 1280

SHOWN = (
    "## A first answer",
    "%llx_profile load demo",
    "What is the capital",
    "%llx_log -n 12",
    "## Statistics",
    "%llx_stats lb",
)
"""The beginnings of the cells that the picture shows; the others have run too."""


def main() -> None:
    """Take one picture for each theme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=TAKES)
    what = parser.parse_args().what
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name in THEMES:
        target = IMAGES / f"{what}-{name}.png"
        TAKES[what](name, target)
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1000:.0f} kB")


def dashboard(name: str, target: Path) -> None:
    """Write the last still picture of its notebook on a page that has the variables of the theme."""
    outputs = [output for cell in _cells(DASHBOARD) for output in cell.get("outputs", []) if "data" in output]
    still = next(html for each in reversed(outputs) if "llx-still" in (html := each["data"].get("text/html", "")))
    with browser() as chromium, chromium.new_context(viewport={"width": 1080, "height": 800}) as context:
        page = context.new_page()
        page.set_content(PAGE.format(theme=theme(name), zoom=1, more="#it>div>p{display:none}", picture=still))
        page.locator("body").screenshot(path=target)


def quickstart(name: str, target: Path) -> None:
    """Run the notebook in a JupyterLab of this theme, and write the picture."""
    settings = {"@jupyterlab/apputils-extension:themes": {"theme": THEMES[name]}}
    cache = {"LLX_CACHE_HOME": os.environ["LLX_CACHE_HOME"]} if "LLX_CACHE_HOME" in os.environ else {}
    with (
        tempfile.TemporaryDirectory() as home,
        lab_server(cache, settings) as server,
        browser() as chromium,
        lab_page(chromium, server, home=Path(home), width=WIDTH) as lab,
    ):
        shutil.copy(NOTEBOOK, server.root / NOTEBOOK.name)
        notebook = lab.open(NOTEBOOK.name)
        lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        notebook.run_all()
        notebook.page.wait_for_timeout(1000)
        crop(notebook, target)


def crop(notebook: Notebook, target: Path) -> None:
    """Keep the cells of the picture, and write it as high as they need."""
    sources = [
        cell.source.partition("\n")[2] or cell.source if cell.source.startswith("%%") else cell.source
        for cell in _cells(NOTEBOOK)
    ]
    missing = [beginning for beginning in SHOWN if not any(source.startswith(beginning) for source in sources)]
    if missing:
        raise SystemExit(f"the notebook has no cell that begins with {missing[0]!r}")
    kept = [source.startswith(SHOWN) for source in sources]
    bottom = notebook.evaluate(
        """(panel, kept) => {
            const cells = [...panel.querySelectorAll('.jp-Cell')].filter((cell, i) => {
                if (!kept[i]) cell.style.display = 'none';
                return kept[i];
            });
            window.jupyterapp.shell.currentWidget.content.activeCellIndex = kept.lastIndexOf(true);
            panel.querySelector('.jp-WindowedPanel-outer').scrollTop = 0;
            return cells.at(-1).getBoundingClientRect().bottom;
        }""",
        kept,
    )
    notebook.page.add_style_tag(content=".jp-cell-toolbar {display: none !important}")
    notebook.page.set_viewport_size({"width": WIDTH, "height": int(bottom) + 48})
    notebook.page.wait_for_timeout(500)
    notebook.page.screenshot(path=target)


def _cells(notebook: Path) -> list[nbformat.NotebookNode]:
    cells: list[nbformat.NotebookNode] = nbformat.read(notebook, as_version=4).cells  # type: ignore[no-untyped-call]
    return cells


TAKES = {"quickstart": quickstart, "dashboard": dashboard}
"""What can be taken, by its name."""


if __name__ == "__main__":
    main()
