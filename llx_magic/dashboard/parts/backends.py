"""The backends: a row for each in priority order, and one axis of time for all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

from llx_magic.dashboard.axis import clock, ticks
from llx_magic.dashboard.parts.part import Part, Piece, Scene, written
from llx_magic.dashboard.rows import Row, figures, in_short
from llx_magic.dashboard.svg import CROSS, TO, band, percents, place
from llx_magic.dashboard.view import Axis
from llx_magic.observe.status.standing import Standing, State

SHAPES = {
    State.ANSWERING: ("ka", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    State.SPARE: ("ki", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    State.NEW: ("kn", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    State.UNPROVEN: ("kn", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    State.OUT: ("ko", "M2 2 10 10M10 2 2 10"),
    State.TRIED: ("kp", "M6 1 11 6 6 11 1 6z"),
    State.COOLING: ("kq", "M4 2V10M8 2V10"),
    State.FULL: ("kq", "M4 2V10M8 2V10"),
    State.FAILING: ("kf", "M6 2 11 10H1z"),
    State.BELOW: ("ki", "M6 10 1 2H11z"),
    State.UNUSABLE: ("ki", "M2 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0zM3 9 9 3"),
}
"""The shape of each state, which stands before its words, and the class that gives the shape its colour."""

LEGEND = (
    ("<svg class='key' width='10'><path class='v' d='M5 7h0'/></svg>", "answered"),
    (f"<svg class='key' width='10'><text class='x' x='5' y='12'>{CROSS}</text></svg>", "failed"),
    (f"<svg class='key' width='18'>{band('o', 0, 600)}</svg>", "out"),
    (f"<svg class='key' width='18'>{band('h', 0, 600)}</svg>", "tried again"),
    (f"<svg class='key' width='18'>{band('q', 0, 600)}</svg>", "cooling down"),
)
"""What the marks of a row's picture mean."""

_PERCENTILES = f"half {TO} 19 of 20"

HEADINGS = {"nm": "backend, how it is", "an": "visits answered", "se": f"{_PERCENTILES} within",
            "tm": "tokens/min", "co": "cost"}  # fmt: skip
"""What stands above the columns, by their class; the picture's has the legend."""


def shape(standing: Standing) -> str:
    """Draw the shape of a backend's state."""
    kind, drawn = SHAPES[standing.state]
    return f"<svg class='k {kind}' width='12' height='12' aria-hidden='true'><path d='{drawn}'/></svg>"


def _draw(scene: Scene) -> dict[str, Piece]:
    rows = {f"backend {row.place}": Piece(row, partial(_row, row)) for row in scene.rows.shown}
    others = scene.rows.folded
    folded = {"others": Piece(others, partial(_folded, others))} if others else {}
    has_cost = any(row.standing.backend.cost is not None for row in scene.rows.shown)
    head = _head(scene.view.axis, has_cost=has_cost)
    return {"backends": written(head), **rows, "axis": written(_axis(scene.view.axis)), **folded}


def _head(axis: Axis, *, has_cost: bool) -> str:
    keys = " ".join(f"<span>{drawn} {words}</span>" for drawn, words in LEGEND)
    keys += f" <span>{axis.name}</span>" if axis.is_simulated else ""
    cells = "".join(
        f"<div class='{kind}'>{words}</div>"
        for kind, words in HEADINGS.items()
        if kind != "nm" and (kind != "co" or has_cost)
    )
    return f"<div class='r rh'><div class='nm'>{HEADINGS['nm']}</div><div class='pl'>{keys}</div>{cells}</div>"


def _row(row: Row) -> str:
    standing, its = row.standing, row.figures
    why = f"<small>{escape(standing.why)}</small>" if standing.why else ""
    name = f"<b>{escape(standing.name)}</b>"
    answered = f"<small>{its.answered}</small>"
    if its.rate:
        answered = f"<b>{its.rate}</b> {answered}<small class='u'> visits answered</small>"
    label = escape(f"{row.place}. {standing.name}: {standing.now}")
    state = f"<div class='st'>{shape(standing)} {escape(standing.now)}</div>"
    return (
        f"<div class='r' role='group' aria-label='{label}'>"
        f"<div class='nm'><small>{row.place}</small> {name}{state}{why}</div>"
        f"<div class='pl'>{row.plot}</div><div class='an'>{answered}</div>"
        + _figure("se", its.seconds, "", row.seconds_picture)
        + _figure("tm", its.tpm, " tokens/min", row.tpm_picture, its.floor)
        + _figure("co", its.cost, " cost")
        + "</div>"
    )


def _figure(kind: str, value: str, unit: str, picture: str = "", beside: str = "") -> str:
    """Draw a figure; where there is no heading above it, its unit stands behind it, or before it what it is."""
    if not value and not beside:
        return f"<div class='{kind} no'></div>"
    what = "" if unit else f"<small class='u'>{HEADINGS[kind]} </small>"
    comma, more = (",", f" <small>{escape(beside)}</small>") if beside else ("", "")
    unit = f"<small class='u'>{unit}{comma}</small>" if unit else ""
    told = f"{what}<span>{escape(value)}</span>{unit}" if value else f"<small>rate unknown{comma}</small>"
    return f"<div class='{kind}'>{told}{more}{picture}</div>"


def _axis(axis: Axis) -> str:
    words = "".join(
        f"<text class='m' x='{percents(at)}' y='12'>{said}</text>"
        for at, said in ((place(moment, axis), said) for moment, said in ticks(axis))
        if 30 <= at <= 480
    )
    now = f"<text class='e' x='100%' y='12'>now<title>{clock(axis.now, axis)}</title></text>"
    drawn = f"<svg class='g a' height='16' role='img'><title>{axis.name}</title>{words}{now}</svg>"
    return f"<div class='r ra'><div class='pl'>{drawn}</div></div>"


def _folded(folded: Sequence[tuple[int, Standing]]) -> str:
    rows = "".join(_small(place, standing) for place, standing in folded)
    columns = ("", "backend", "now", "answered", _PERCENTILES, "tokens/min", "", "cost")
    head = "".join(f"<th scope='col'>{name}</th>" for name in columns)
    return (
        f"<details class='fo'><summary>{escape(in_short(folded))}</summary>"
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _small(place: int, standing: Standing) -> str:
    rate, answered, *others = figures(standing.backend)
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (f"{answered} {rate}".strip(), *others))
    state = f"<td>{shape(standing)} {escape(str(standing.state))}</td>"
    return f"<tr><td>{place}</td><th scope='row'>{escape(standing.name)}</th>{state}{cells}</tr>"


PART = Part(
    name="backends",
    draw=_draw,
    style="""
.llx .r{display:flex;flex-wrap:wrap;gap:2px 16px;border-top:1px solid var(--l);padding:6px 0;align-items:center}
.llx .rh{border:0;padding:6px 0 2px;color:var(--m);font-size:11px}
.llx .ra{border:0;padding:0 0 4px}
.llx .nm,.llx .pl{flex:0 0 100%;box-sizing:border-box;min-width:0}
.llx .pl{padding-left:48px}
.llx .an,.llx .se,.llx .tm,.llx .co{white-space:nowrap}
.llx .rh .pl{padding:0;display:flex;flex-wrap:wrap;gap:2px 12px}
.llx .rh>div:not(.pl){display:none}
.llx .nm{overflow-wrap:anywhere}
.llx .nm b{font-size:14px}
.llx .st{font-weight:600;padding-left:16px;text-indent:-16px}
.llx .no{display:none}
.llx .g{display:block;width:100%}
.llx .g,.llx .g>svg[viewBox]{overflow:visible}
.llx .s{display:none;width:100%;overflow:visible}
.llx .key{height:14px;vertical-align:-3px;overflow:hidden}
.llx .k{vertical-align:-1px;fill:none;stroke:var(--i);stroke-width:1.6;overflow:visible}
.llx .kn{stroke-dasharray:2 2}
.llx .ka{stroke:var(--ka)}.llx .ka path{fill:var(--ka)}
.llx .ko{stroke:var(--ko);stroke-width:3}
.llx .kf{stroke:var(--ko)}.llx .kf path{fill:var(--ko)}
.llx .kp{stroke:var(--kp)}.llx .kp path{fill:var(--kp)}
.llx .kq{stroke:var(--kq);stroke-width:3}
.llx .lg{stroke:var(--l);stroke-width:1}
.llx .v{stroke:var(--ka);stroke-width:6;stroke-linecap:round}
.llx .x{fill:var(--xt);font-size:17px;font-weight:700;text-anchor:middle}
.llx .c{fill:var(--i);font-size:10px;text-anchor:middle}
.llx .f{fill:var(--xt)}
.llx .f,.llx .x{stroke:var(--p);stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
.llx .z{height:60px;fill:transparent}
.llx .o,.llx .h,.llx .q{overflow:hidden;height:100%}
.llx .o rect,.llx .h rect,.llx .q rect{fill-opacity:.12;stroke-width:2}
.llx .o path{stroke:var(--ko);stroke-width:220;stroke-dasharray:1.4 6;transform:skewX(-40deg);opacity:.75;
    vector-effect:none}
.llx .o rect{fill:var(--ko);stroke:var(--ko)}
.llx .h rect{fill:var(--kp);stroke:var(--kp);fill-opacity:.5}
.llx .q path{stroke:var(--kq);stroke-width:2.6;stroke-linecap:round;stroke-dasharray:0 9}
.llx .q rect{fill:var(--kq);stroke:var(--kq)}
.llx path.oo{stroke:var(--ko);fill:var(--ko);fill-opacity:.16}
.llx path.hh{stroke:var(--kp);fill:var(--kp);fill-opacity:.6}
.llx path.qq{stroke:var(--kq);fill:var(--kq);fill-opacity:.16;stroke-width:1.6;stroke-dasharray:1.6 3}
.llx .w{stroke:var(--ka);stroke-width:5}
.llx .u.u{display:inline}
.llx path.u{stroke:var(--i);stroke-width:9;stroke-linecap:round}
.llx .lt{stroke:var(--i);stroke-width:1.2;stroke-dasharray:1.5 3}
.llx .ln{stroke:var(--i);stroke-width:1.6;stroke-linejoin:round}
.llx .fo{border-top:1px solid var(--l);padding:6px 0}
.llx .wide{overflow-x:auto}
.llx .fo td,.llx .fo th{padding:2px 12px 2px 0;text-align:left;white-space:nowrap;border:0}
@container llx (min-width:740px){
.llx .r{display:grid;gap:2px 12px;grid-template-columns:minmax(110px,17%) minmax(0,1fr) 84px 108px 104px}
.llx .an,.llx .se,.llx .tm,.llx .co{white-space:normal}
.llx .nm,.llx .pl,.llx .an,.llx .se{grid-row:1/3;grid-column:auto}
.llx .nm{grid-column:1}.llx .pl{grid-column:2}.llx .an{grid-column:3}.llx .se{grid-column:4}
.llx .tm,.llx .co{grid-column:5}
.llx .tm{grid-row:1/3}.llx .r:has(.co:not(.no)) .tm{grid-row:1;align-self:end}
.llx .co{grid-row:2;align-self:start}
.llx .rh>div:not(.pl){display:block;align-self:end}
.llx .rh>.co.co{display:none}
.llx .rh .pl{padding-left:48px}
.llx .r small.u{display:none}
.llx .r .co small.u{display:inline}
.llx .an b{display:block;font-size:15px}
.llx .tm small{display:block}
}
@container llx (min-width:1040px){
.llx .r{grid-template-columns:minmax(130px,16%) minmax(0,1fr) 92px 150px 150px 64px;column-gap:16px}
.llx .r .nm,.llx .r .pl,.llx .r .an,.llx .r .se,.llx .r .tm.tm,.llx .r .co{grid-row:1;align-self:center}
.llx .r .co{grid-column:6}
.llx .rh>div.co.co{display:block}
.llx .r.rh.rh>div{align-self:end}
.llx .r .co small.u{display:none}
.llx .s{display:block}
}
""",
)
