"""The dashboard's style sheet: the colours of the page it stands on, and a few of its own, each with one meaning.

The variables of JupyterLab: https://jupyterlab.readthedocs.io/en/stable/developer/css.html. Where a page has none, its
own ink is taken, so that words can be read on every paper. The key Tab goes through the prompts in the order in which
they are seen, newest first, where the browser knows ``reading-flow``: https://drafts.csswg.org/css-display-4/#reading-flow
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from llx_magic.observe.palette import ANSWERED, COOLING, FAILED, PROBE


class Inks(NamedTuple):
    """The colours of a sheet: of words, of lesser words, of lines, of words about failures, and of the paper."""

    ink: str
    muted: str
    line: str
    failed_words: str
    paper: str


PAGE = Inks(
    "var(--jp-content-font-color1,var(--vscode-foreground,currentColor))",
    "color-mix(in srgb,var(--jp-content-font-color1,var(--vscode-foreground,currentColor)) 78%,transparent)",
    "color-mix(in srgb,var(--jp-content-font-color1,var(--vscode-foreground,currentColor)) 22%,transparent)",
    f"color-mix(in srgb,{FAILED} 70%,var(--jp-content-font-color1,var(--vscode-foreground,currentColor)))",
    "var(--jp-layout-color0,var(--vscode-editor-background,transparent))",
)
"""Those of the page on which the dashboard stands."""

PAPER = Inks("#1f2328", "#59636e", "#d1d9e0", "#b03320", "#fff")
"""Those of a file, on white paper."""

_LAYOUT = """
.llx-dashboard{padding:4px 2px 8px}
.llx .widget-html-content{line-height:1.35;width:100%}
.llx .widget-html-content,.llx-dashboard .llx{height:auto}
.llx-pieces{reading-flow:flex-visual}
.llx-dashboard .llx:has(>.widget-html-content:empty){display:none}
.llx{font:13px/1.35 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--i);container:llx/inline-size;
    font-variant-numeric:tabular-nums;min-width:0}
.llx b{font-weight:600}
.llx small{color:var(--m);font-size:12px}
.llx text{font:11px system-ui,sans-serif;fill:var(--i);font-variant-numeric:tabular-nums}
.llx .a text,.llx text.a{fill:var(--m)}
.llx .m{text-anchor:middle}.llx .e,.llx .e text{text-anchor:end}
.llx path{fill:none;vector-effect:non-scaling-stroke}
.llx .llx-still{display:none}
@media (forced-colors:active){.llx{--ka:CanvasText;--ko:CanvasText;--kq:CanvasText;--kp:CanvasText;--xt:CanvasText;
    --i:CanvasText;--m:CanvasText;--l:GrayText;--p:Canvas}}
"""


def sheet(styles: Iterable[str], inks: Inks = PAGE) -> str:
    """Return the whole sheet on one line: every rule holds only inside an element of class ``llx``."""
    return f".llx{{{_colours(inks)}}}{_on_one_line(_LAYOUT, *styles)}"


def paper_sheet(styles: Iterable[str]) -> str:
    """Return the sheet of a file on white paper: each colour in its place, since not every viewer knows variables."""
    layout = _LAYOUT.split("@media", 1)[0].replace("var(--jp-ui-font-family,system-ui,sans-serif)", "system-ui")
    found = _on_one_line(layout, *styles)
    for colour in _colours(PAPER).split(";"):
        name, _, value = colour.partition(":")
        found = found.replace(f"var({name})", value)
    return found


def _colours(inks: Inks) -> str:
    return (
        f"--i:{inks.ink};--m:{inks.muted};--l:{inks.line};--xt:{inks.failed_words};--p:{inks.paper};"
        f"--ka:{ANSWERED};--ko:{FAILED};--kq:{COOLING};--kp:{PROBE}"
    )


def _on_one_line(*styles: str) -> str:
    return "".join(styles).replace("\n    ", "").replace("\n", "")
