"""What looks at pictures finds what is wrong with one, and nothing where all is well."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.geometry import MISPLACED, PALE

pytestmark = pytest.mark.browser

FINE = """<div style='width:300px'><p style='margin:0'>two lines</p><p style='margin:0'>below each other</p>
<svg width='300' height='40'><rect width='300' height='40' fill='#eee'/><text x='4' y='16'>one</text>
<text x='150' y='16'>two</text></svg><span style='position:absolute;width:1px;height:1px;overflow:hidden'>unseen</span>
<svg width='90' height='20'><path d='M45 0V20' stroke='#444' stroke-width='90'/><text x='4' y='14'
style='paint-order:stroke;stroke:#fff;stroke-width:3px'>a halo</text></svg>
<details><summary>more</summary>folded away</details></div>"""


def faults(page: Page, html: str) -> list[str]:
    page.set_content(f"<!doctype html><body style='margin:8px;font:13px/1.35 sans-serif'><div id=it>{html}</div>")
    return [*page.evaluate(MISPLACED, "#it"), *page.evaluate(PALE, "#it")]


def test_where_all_is_well_there_is_no_fault(page: Page) -> None:
    assert faults(page, FINE) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<svg width=300 height=40><text x=4 y=16>first name</text><text x=30 y=20>second</text></svg>",
         "«first name» and «second» overlap"),
        ("<div style='position:relative;height:40px'>words<b style='position:absolute;left:8px;top:3px'>more</b></div>",
         "«words» and «more» overlap"),
        ("<div style='width:60px;overflow:hidden;white-space:nowrap'>a sentence that is cut</div>",
         "«a sentence that is cut» is cut"),
        ("<div style='width:60px;overflow-x:auto;white-space:nowrap'>a sentence to scroll</div>", "is cut"),
        ("<div style='height:14px;overflow:hidden'>two<br>lines</div>", "«lines» is cut by its div"),
        ("<div style='white-space:nowrap;width:80px;background:#eee'>a label wider than its box</div>",
         "is wider than its div"),
        ("<svg width=60 height=20><text x=30 y=14>a label that leaves</text></svg>", "is wider than its svg"),
        ("<svg width=60 height=20><text x=0 y=40>below</text></svg>", "«below» is cut by its svg"),
        ("<div style='position:absolute;left:-30px;top:0'>left of it</div>", "is outside the page"),
        ("<p style='color:#999'>pale words</p>", "«pale words» has a contrast of 2.85"),
        ("<p style='opacity:.5'>half seen</p>", "«half seen» has a contrast"),
        ("<svg width=90 height=20><rect width=90 height=20 fill='#345'/><text x=4 y=14>dark on dark</text></svg>",
         "«dark on dark» has a contrast"),
        ("<svg width=90 height=20><path d='M63 0V20' stroke='#444' stroke-width=40 /><text x=4 y=14>half dark</text>",
         "«half dark» has a contrast"),
        ("<p style='background:linear-gradient(#fff,#555)'>on a slope</p>", "«on a slope» has a contrast"),
        ("<p style='color:color-mix(in srgb,#000 40%,transparent)'>mixed</p>", "«mixed» has a contrast"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(page: Page, html: str, fault: str) -> None:
    assert any(fault in found for found in faults(page, html))
