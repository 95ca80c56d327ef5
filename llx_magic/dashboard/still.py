"""The dashboard as one SVG file: the same rows and lines as on a page, laid out for one width."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

from llx_magic.dashboard.axis import ticks
from llx_magic.dashboard.lines import BAR, Line
from llx_magic.dashboard.parts import advice, backends, headline, prompts
from llx_magic.dashboard.parts.part import Scene
from llx_magic.dashboard.plot import HEIGHT
from llx_magic.dashboard.rows import Row, in_short
from llx_magic.dashboard.style import PAPER, paper_sheet
from llx_magic.dashboard.svg import WIDE, place
from llx_magic.observe.palette import COOLING, FAILED
from llx_magic.observe.status.status import MARK
from llx_magic.units import unbroken

WIDTH = 1200
"""Width of the picture in pixels."""

_EDGE = 16
_NAMES, _PLOT, _PLOT_WIDE = _EDGE, 276, 466
_ANSWERED, _SECONDS, _TOKENS, _COST = 766, 874, 1012, 1138
_SMALL_WIDE = 112
_BARS, _BARS_WIDE, _HOPS = 220, 260, 500
_LETTER = 0.6
"""How wide a letter is, as a share of its size; one of a wide script takes a whole."""


def _fill(name: str, wide: int, high: int, colour: str, mark: str, more: str = "") -> str:
    """Return the pattern that fills a kind of band: its mark on a tint."""
    tint = f"<rect width='{wide}' height='{high}' fill='{colour}' fill-opacity='.12'/>"
    size = f"width='{wide}' height='{high}' patternUnits='userSpaceOnUse'"
    return f"<pattern id='{name}' {size}{more}>{tint}{mark}</pattern>"


_LINE = f"<path d='M0 0V7' stroke='{FAILED}' stroke-width='2'/>"
_DOT = f"<circle cx='5' cy='7' r='1.3' fill='{COOLING}'/>"
_FILLS = (
    _fill("o", 7, 7, FAILED, _LINE, " patternTransform='rotate(40)'"),
    _fill("q", 9, 10, COOLING, _DOT),
)
"""What bands are filled with: many programs that show SVG know patterns, but not what hatches bands on a page."""

_STYLE = """
.llx .o path,.llx .q path{display:none}
.llx .o rect{fill:url(#o);fill-opacity:1}
.llx .q rect{fill:url(#q);fill-opacity:1}
.llx .t1{font-size:18px;font-weight:700}
.llx .t2{font-size:15px;font-weight:600}
.llx .t3{font-size:12px;font-weight:400;fill:var(--m)}
.llx .t4{font-size:14px;font-weight:600}
.llx .t5{font-size:12px}
.llx .s{display:block}
.llx .kn,.llx .k{overflow:visible}
"""


class _Page:
    """A page that is written from top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 10

    def put(self, words: str, x: int, y: int, kind: str = "t5") -> None:
        """Write words with their foot at ``y`` pixels."""
        self.parts.append(f"<text class='{kind}' x='{x}' y='{y}'>{words}</text>")

    def block(self, text: str, x: int, wide: int, kind: str, size: int) -> None:
        """Write a text on as many lines as it takes, and go on below it."""
        for line in wrapped(text, wide / size):
            self.y += round(size * 1.35)
            self.put(escape(line), x, self.y, kind)

    def picture(self, svg: str, x: int, y: int, wide: int) -> None:
        """Set a picture."""
        self.parts.append(svg.replace("<svg ", f"<svg x='{x}' y='{y}' width='{wide}' ", 1) if svg else "")

    def rule(self) -> None:
        """Draw a line across."""
        self.parts.append(f"<path class='lg' d='M{_EDGE} {self.y}H{WIDTH - _EDGE}'/>")


def draw(scene: Scene, styles: Sequence[str]) -> str:
    """Return the picture; nothing in it depends on the page that shows it."""
    page = _Page()
    status = scene.status
    more = escape(headline.beside(scene.snapshot, scene.view))
    page.put(f"{escape(status.profile)} <tspan class='t3'>{more}</tspan>", _EDGE, 28, "t1")
    page.y = 32
    mark = "" if status.is_calm else f"{MARK} "
    page.block(mark + status.sentence, _EDGE, WIDTH - 2 * _EDGE, "t2", 15)
    page.block(headline.totals(scene.snapshot), _EDGE, WIDTH - 2 * _EDGE, "t3", 12)
    _rows(page, scene)
    _lines(page, scene)
    for name, words in advice.advice(scene.snapshot, scene.what_if).items():
        page.y += 8
        page.block(f"{name}: {words}", _EDGE, WIDTH - 2 * _EDGE, "t5", 12)
    height = page.y + 14
    named = f"<title>{escape(status.profile)}: {escape(status.sentence)}</title>"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' class='llx' role='img' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}'>{named}<style>{paper_sheet([*map(_plain, styles), _STYLE])}</style>"
        f"<rect width='100%' height='100%' fill='#fff'/><defs>{''.join(_FILLS)}</defs>{''.join(page.parts)}</svg>"
    )


def wrapped(text: str, ems: float) -> Iterable[str]:
    """Break a text into lines of at most so many times the size of its letters, between words where it can.

    A unit stays with its number.
    """
    line, width = "", 0.0
    for word in unbroken(text).split(" "):
        for piece in _pieces(word, ems):
            wide = sum(map(_wide, piece))
            if line and width + _LETTER + wide > ems:
                yield line
                line, width = "", 0.0
            blank = " " if line else ""
            line, width = line + blank + piece, width + len(blank) * _LETTER + wide
    if line:
        yield line


def _pieces(word: str, ems: float) -> Iterable[str]:
    piece, width = "", 0.0
    for letter in word:
        if width + _wide(letter) > ems:
            yield piece
            piece, width = "", 0.0
        piece, width = piece + letter, width + _wide(letter)
    yield piece


def _wide(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0x1F000 else _LETTER


def _plain(style: str) -> str:
    """Return the rules of a part that hold at every width."""
    return style.split("@container", 1)[0]


def _rows(page: _Page, scene: Scene) -> None:
    page.y += 24
    x = _PLOT
    for drawn, words in backends.LEGEND:
        page.parts.append(drawn.replace("<svg ", f"<svg x='{x}' y='{page.y - 11}' height='14' ", 1))
        page.put(words, x + 22, page.y, "t3")
        x += 44 + round(len(words) * 6.4)
    if scene.view.axis.is_simulated:
        page.put(scene.view.axis.name, x, page.y, "t3")
    page.y += 20
    for kind, at in {"an": _ANSWERED, "se": _SECONDS, "tm": _TOKENS, "co": _COST}.items():
        page.put(backends.HEADINGS[kind], at, page.y, "t3")
    page.y += 8
    for row in scene.rows.shown:
        _row(page, row)
    for moment, words in ticks(scene.view.axis):
        if 30 <= (at := place(moment, scene.view.axis)) <= 520:
            page.put(words, _PLOT + round(at * _PLOT_WIDE / WIDE), page.y + 12, "t3 m")
    page.put("now", _PLOT + _PLOT_WIDE, page.y + 12, "t3 e")
    page.y += 18
    if scene.rows.folded:
        page.block(in_short(scene.rows.folded), _EDGE, WIDTH - 2 * _EDGE, "t3", 12)


def _row(page: _Page, row: Row) -> None:
    page.rule()
    top, standing, its = page.y + 4, row.standing, row.figures
    page.put(str(row.place), _NAMES, top + 16, "t3")
    page.y = top
    page.block(standing.name, _NAMES + 20, _PLOT - 80 - _NAMES, "t4", 14)
    page.parts.append(backends.shape(standing).replace("<svg ", f"<svg x='{_NAMES + 20}' y='{page.y + 7}' ", 1))
    page.block(standing.now, _NAMES + 38, _PLOT - 98 - _NAMES, "t5", 12)
    if standing.why:
        page.block(standing.why, _NAMES + 20, _PLOT - 80 - _NAMES, "t3", 12)
    page.picture(row.plot, _PLOT, top, _PLOT_WIDE)
    page.put(its.rate, _ANSWERED, top + 22, "t4")
    page.put(its.answered, _ANSWERED, top + (38 if its.rate else 30), "t3")
    page.put(its.seconds, _SECONDS, top + 22)
    page.picture(row.seconds_picture, _SECONDS, top + 28, _SMALL_WIDE)
    page.put(", ".join(filter(None, [its.tpm or "rate unknown" * bool(its.floor), its.floor])), _TOKENS, top + 22)
    page.picture(row.tpm_picture, _TOKENS, top + 28, _SMALL_WIDE)
    page.put(its.cost, _COST, top + 22)
    page.y = max(page.y + 6, top + HEIGHT + 4)


def _lines(page: _Page, scene: Scene) -> None:
    page.y += 28
    lines = scene.lines
    page.put(lines.title, _EDGE, page.y, "t4")
    if not lines.shown:
        page.put("none yet", _EDGE + 120, page.y, "t3")
        return
    x = _HOPS
    for drawn, words in prompts.LEGEND:
        page.parts.append(drawn.replace("<svg ", f"<svg x='{x}' y='{page.y - 11}' height='14' ", 1))
        page.put(words, x + 24, page.y, "t3")
        x += 40 + round(len(words) * 6.4)
    page.y += 16
    page.put("0", _BARS, page.y, "t3")
    page.put(lines.scale, _BARS + _BARS_WIDE, page.y, "t3 e")
    page.y += 8
    for line in lines.shown:
        _line(page, line)


def _line(page: _Page, line: Line) -> None:
    page.rule()
    top = page.y
    if line.tag and line.has_ended:
        page.parts.append(f"<rect x='{_EDGE - 6}' y='{top + 3}' width='3' height='18' fill='{PAPER.ink}'/>")
    page.put(f"#{line.trace.request}", _EDGE, top + 17, "t5")
    page.put(line.when, _EDGE + 56, top + 17, "t3")
    page.put(line.took, _BARS - 12, top + 17, "t5 e")
    page.picture(line.bar, _BARS, top + (24 - BAR) // 2, _BARS_WIDE)
    page.put(line.cost, _COST, top + 17, "t3")
    page.y = top + 1
    hops = " · ".join(filter(None, [line.tag, *line.hops]))
    page.block(hops, _HOPS, _COST - 12 - _HOPS, "t5", 12)
    page.y = max(page.y + 7, top + 24)
