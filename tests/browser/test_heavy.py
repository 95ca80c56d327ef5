"""No reply ends the tab, live, redrawn or reopened; the longest freezes are measured by ``benchmarks/freeze.py``."""

from __future__ import annotations

import json

import pytest

from tests.browser.heavy import HEAVY
from tests.browser.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DEADLY = ["fractions 100 deep", "environments 120 deep", "390 changes of colour", "16,000 headings",
          "Thai without a blank", "Hebrew and digits without a blank", "16,000 formulas",
          "a formula of ten million columns", "10,000 links to one long address"]  # fmt: skip
"""Each of these ended the tab, or held it up for a minute."""


def test_the_page_lives_on_under_every_reply_that_ended_it(lab: LabPage):
    texts = json.dumps([HEAVY[name] for name in DEADLY])
    (lab.home / "heavy.json").write_text(texts)
    shown = (
        "import json, pathlib\nfrom IPython.display import HTML, display\n"
        "from llx_magic.text.markdown import markdown_to_html\n"
        f"texts = json.loads(pathlib.Path({str(lab.home / 'heavy.json')!r}).read_text())"
    )
    notebook = lab.open("heavy.ipynb", [shown, "for text in texts: display(HTML(markdown_to_html(text)))", "1 + 1"])
    notebook.run_all()
    notebook.page.wait_for_timeout(1000)
    assert notebook.output(1).locator(".jp-RenderedHTML").count() == len(DEADLY)
    assert notebook.output(2).inner_text().split() == ["[3]:", "2"]
    assert notebook.output(1).locator("*").count() < 60_000
    notebook.save()
    opened = notebook.reopen()
    opened.page.wait_for_timeout(1000)
    assert opened.output(1).locator(".jp-RenderedHTML").count() == len(DEADLY)
