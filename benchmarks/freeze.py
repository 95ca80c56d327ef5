"""How long JupyterLab stands still, at most, while it draws each of the heaviest replies.

    python -m benchmarks.freeze [NAME ...]

One row a reply: its size, the seconds that the kernel takes for its HTML, the elements in the page once formulas are
typeset, and the longest time for which the page ran no timer, live and when the saved notebook is opened again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.browser.heavy import HEAVY
from tests.browser.lab import LabPage, browser, lab_page, lab_server

WATCH = """() => {
    window.__longest = 0; let last = performance.now();
    clearInterval(window.__watch);
    window.__watch = setInterval(() => {
        const now = performance.now();
        window.__longest = Math.max(window.__longest, now - last); last = now;
    }, 10);
}"""

CELLS = (
    "import json, pathlib, time\nfrom IPython.display import HTML, display\n"
    "from llx_magic.text.markdown import markdown_to_html\n"
    "begun = time.process_time()\n"
    "shown = markdown_to_html(json.loads(pathlib.Path({path!r}).read_text())[{name!r}])\n"
    "print(round(time.process_time() - begun, 2))"
)


def _longest(lab: LabPage) -> float:
    """Return the longest freeze in seconds since the watch began, once nothing is being drawn."""
    lab.page.wait_for_timeout(2000)
    milliseconds: float = lab.page.evaluate("() => window.__longest")
    return milliseconds / 1000


def _measure(lab: LabPage, path: Path, name: str) -> str:
    notebook = lab.open("freeze.ipynb", [CELLS.format(path=str(path), name=name), "display(HTML(shown))"])
    lab.page.evaluate(WATCH)
    notebook.run_all()
    live = _longest(lab)
    kernel, elements = notebook.output(0).inner_text().strip(), notebook.output(1).locator("*").count()
    notebook.save()
    notebook.close()
    lab.page.evaluate(WATCH)
    lab.open("freeze.ipynb")
    return f"{len(HEAVY[name]):>9,} {kernel:>8} {elements:>9,} {live:>8.2f} {_longest(lab):>8.2f}  {name}"


def main(names: list[str]) -> None:
    """Print the table for the named replies, or for all."""
    print(f"{'characters':>9} {'kernel s':>7} {'elements':>9} {'live s':>8} {'opened s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heavy.json"
        path.write_text(json.dumps(HEAVY))
        with (
            lab_server({"LLXPRT_CONFIG_HOME": folder}) as server,
            browser() as chromium,
            lab_page(chromium, server, home=Path(folder)) as lab,
        ):
            warm = lab.open("warm.ipynb", ["from IPython.display import HTML\nHTML('$x^2$')"])
            warm.run_all()
            lab.page.wait_for_timeout(2000)
            warm.close()
            for name in names or HEAVY:
                print(_measure(lab, path, name), flush=True)
                lab.close_all()


if __name__ == "__main__":
    main(sys.argv[1:])
