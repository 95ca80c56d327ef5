"""The dashboard's style sheet: the colours of the front end's theme where it has any, and of its own elsewhere.

The variables of JupyterLab: https://jupyterlab.readthedocs.io/en/stable/developer/css.html
"""

from __future__ import annotations

from llx_magic.observe.palette import STATE_COLOURS

GUTTER = 104
"""Pixels left of each plot, for names and scales."""

RIGHT = 116
"""Pixels right of each plot, for what is so now."""

INK = "var(--jp-content-font-color1,var(--vscode-foreground,#1f2328))"
MUTED = "var(--jp-content-font-color2,var(--vscode-descriptionForeground,#59636e))"
_LINE = "var(--jp-border-color2,var(--vscode-widget-border,#d1d9e0))"

_LAYOUT = f"""
.llx-dashboard{{padding:4px 2px 8px}}
.llx .widget-html-content{{line-height:1.35}}
.llx .widget-html-content,.llx-dashboard .llx{{height:auto}}
.llx{{font:12px/1.35 var(--jp-ui-font-family,system-ui,sans-serif);color:{INK};overflow-x:auto}}
.llx table{{border-collapse:collapse;width:100%;min-width:780px;font-variant-numeric:tabular-nums;margin:0;
    font-size:12px;color:{INK}}}
.llx caption{{text-align:left;padding:2px 0 6px;color:{MUTED};caption-side:top;font-size:12px}}
.llx caption b{{color:{INK};font-size:14px;margin-right:8px}}
.llx tr{{height:42px;background:none!important}}
.llx thead tr{{height:24px}}
.llx th,.llx td{{padding:2px 8px;text-align:right;white-space:nowrap;border:0;border-top:1px solid {_LINE};
    font-weight:400;max-width:none}}
.llx thead th{{border:0;color:{MUTED};font-size:11px;padding-bottom:4px}}
.llx th:first-child,.llx td:nth-child(2),.llx th:nth-child(2),.llx th:last-child,.llx td:last-child{{text-align:left}}
.llx th:first-child{{padding-left:0}}
.llx tbody th{{font-weight:600;font-size:13px;max-width:150px;overflow:hidden;text-overflow:ellipsis}}
.llx th i{{flex:none;display:inline-block;width:16px;height:3px;margin-right:8px;vertical-align:middle;
    background:repeating-linear-gradient(90deg,var(--c) 0 var(--d,16px),transparent 0 calc(var(--d,16px) + 3px))}}
.llx b{{font-weight:600}}
.llx td b{{display:inline-block;min-width:104px;padding:1px 7px 1px 5px;border-radius:3px;
    border-left:4px solid var(--k);background:color-mix(in srgb,var(--k) 16%,transparent);font-size:11.5px}}
.llx small{{display:block;color:{MUTED};font-size:11px;max-width:180px;overflow:hidden;
    text-overflow:ellipsis;margin-top:1px}}
.llx td i{{display:block;height:6px;min-width:96px;margin-top:3px;position:relative;
    background:linear-gradient({MUTED} 0 0) 0/var(--v) 100% no-repeat,color-mix(in srgb,{MUTED} 20%,transparent)}}
.llx td i::after{{content:"";position:absolute;left:var(--t,-9px);top:-3px;height:12px;border-left:2px solid {INK}}}
.llx td i:not([style*="--t"])::after{{display:none}}
.llx p{{margin:12px 0 4px;color:{MUTED};font-size:11px;min-width:560px}}
.llx p b{{color:{INK};font-size:12px;margin-right:8px}}
"""

_CHARTS = f"""
.llx .g{{display:block;box-sizing:border-box;width:100%;min-width:560px;padding:0 {RIGHT}px 0 {GUTTER}px;
    overflow:visible}}
.llx .s{{width:74px;height:20px;display:block;fill:none;stroke:{INK};stroke-width:1.5;stroke-linecap:round;
    stroke-linejoin:round}}
.llx text{{font:11px system-ui,sans-serif;fill:{INK};font-variant-numeric:tabular-nums}}
.llx .a text{{fill:{MUTED}}}
.llx .m{{text-anchor:middle}}.llx .e{{text-anchor:end}}
.llx .t{{font-size:14px;font-weight:600}}
.llx path{{fill:none;vector-effect:non-scaling-stroke}}
.llx .lg{{stroke-width:1;stroke:{_LINE}}}
"""

_CHIPS = "".join(
    f".llx .k{kind}{{--k:{colour}}}"
    for kind, colour in {
        "c": STATE_COLOURS["closed"],
        "h": STATE_COLOURS["half-open"],
        "o": STATE_COLOURS["open"],
        "q": STATE_COLOURS["half-open"],
        "t": STATE_COLOURS["half-open"],
        "d": STATE_COLOURS["disabled"],
    }.items()
)

BASE = _LAYOUT + _CHARTS + _CHIPS
"""What all parts share; every rule holds only inside an element of class ``llx``."""
