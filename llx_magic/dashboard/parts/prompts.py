"""The latest prompts: a line for each, hop by hop, which opens to its trace."""

from __future__ import annotations

from functools import partial
from html import escape

from llx_magic.dashboard.lines import Line
from llx_magic.dashboard.parts.part import Part, Piece, Scene, written
from llx_magic.observe import waterfall

LEGEND = (
    ("<svg class='key' width='18'><path class='lx' d='M0 7H18'/></svg>", "failed"),
    ("<svg class='key' width='18'><path class='ly' d='M0 7H18'/></svg>", "until the first token"),
    ("<svg class='key' width='18'><path class='lf' d='M1 0V14'/><path class='la' d='M1 7H18'/></svg>", "answering"),
    ("<svg class='key' width='18'><path class='lw' d='M0 7H18'/></svg>", "waiting"),
)
"""What the pieces of a bar mean."""

MOST_STEPS = 20
"""So many steps of a trace are shown at most."""


def _draw(scene: Scene) -> dict[str, Piece]:
    lines = scene.lines
    if not lines.shown:
        return {"prompts": written(f"<div class='hp'><b>{lines.title}</b> <small>none yet</small></div>")}
    keys = " ".join(f"<span>{drawn} {words}</span>" for drawn, words in LEGEND)
    head = (
        f"<div class='hp'><b>{lines.title}</b> <small>open one for its trace</small> "
        f"<small class='kk'>{keys}</small></div>"
        f"<div class='ps ph'><small class='bar'><span>0</span><span>{lines.scale}</span></small></div>"
    )
    shown = {f"prompt {line.trace.request}": Piece(line, partial(_line, line)) for line in lines.shown}
    return {"prompts": written(head), **shown}


def _line(line: Line) -> str:
    tag = f"<b class='tg'>{escape(line.tag)}</b> · " if line.tag else ""
    hops = " · ".join(f"<span>{escape(hop)}</span>" for hop in line.hops)
    summary = (
        f"<span class='no1'>#{line.trace.request}</span> <span class='wh'>{line.when}</span> "
        f"<span class='tk'>{line.took}</span> <span class='bar'>{line.bar}</span> "
        f"<span class='hs'>{tag}{hops}</span> <span class='ct'>{line.cost}</span>"
    )
    if not line.has_ended:  # nothing opens yet: the next drawing would close it under the reader's eyes
        return f"<div class='pp'><div class='ps'>{summary}</div></div>"
    trace = waterfall.as_html(line.trace, waterfall.BY_SHEET, MOST_STEPS)
    striking = " sk" if line.tag else ""
    return (
        f"<details class='pp{striking}'><summary class='ps'>{summary}</summary><div class='tr'>{trace}</div></details>"
    )


PART = Part(
    name="prompts",
    draw=_draw,
    style=waterfall.SHEET
    + """
.llx .hp{margin:14px 0 2px;display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline}
.llx .hp b{font-size:14px}
.llx .kk{display:flex;flex-wrap:wrap;gap:2px 12px}
.llx .pp{border-top:1px solid var(--l);padding-left:8px}
.llx .sk{border-left:3px solid var(--i);padding-left:5px}
.llx .ps{display:grid;grid-template-columns:auto auto 1fr auto;gap:1px 10px;padding:4px 0;align-items:center;
    list-style:none}
.llx summary{cursor:pointer}
.llx summary:focus-visible{outline:2px solid var(--i);outline-offset:1px}
.llx .ps::-webkit-details-marker{display:none}
.llx .no1{font-weight:600}
.llx .no1::before{content:"▸ ";color:var(--m);visibility:hidden}
.llx summary .no1::before{visibility:visible}
.llx [open]>.ps .no1::before{content:"▾ "}
.llx .wh{color:var(--m)}
.llx .bar,.llx .hs{grid-column:1/-1;min-width:0;overflow-wrap:anywhere}
.llx .ct{grid-row:1;grid-column:4;text-align:right;color:var(--m)}
.llx .hs span{color:var(--i)}
.llx .hs{color:var(--m)}
.llx .tg{color:var(--i)}
.llx .b{display:block;width:100%;overflow:visible}
.llx .ph{padding:0 0 0 8px;color:var(--m)}
.llx .ph .bar{display:flex;justify-content:space-between}
.llx .tr{padding:2px 0 8px 12px;overflow-x:auto}
.llx .la{stroke:var(--ka);stroke-width:10}
.llx .ly{stroke:var(--ka);stroke-width:3}
.llx .lx{stroke:var(--ko);stroke-width:10;stroke-dasharray:2 2}
.llx .lw{stroke:var(--i);stroke-width:2;stroke-dasharray:1 3}
.llx .lf{stroke:var(--i);stroke-width:2}
@container llx (min-width:700px){
.llx .ps{grid-template-columns:60px 60px 76px minmax(110px,24%) minmax(0,1fr) auto}
.llx .bar,.llx .hs{grid-column:auto}
.llx .ct{grid-row:auto;grid-column:auto}
.llx .ph .bar{grid-column:4}
}
""",
)
