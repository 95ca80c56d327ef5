"""The dashboard's charts as SVG: circuits, tokens per minute and the latest requests; every text is escaped.

Each is one element with a title. Its geometry is stretched to the width there is, its words are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from llx_magic.core.events import RequestAnswered, RequestFailed
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.trace import Step, Trace
from llx_magic.dashboard.style import GUTTER
from llx_magic.dashboard.timeline import ENDINGS, REQUESTS_KEPT, View
from llx_magic.observe.palette import styles
from llx_magic.text.screen import one_line
from llx_magic.units import count, countdown, duration, number

MINUS = "\N{MINUS SIGN}"

WIDE = 600
"""Units of a chart's width, whatever its width on the screen."""

LANE = 24
"""Height of a backend's lane in pixels."""

CURVES = 112
"""Height of the tokens-per-minute chart's plot in pixels."""

ROW = 20
"""Height of a request's row in pixels."""

AXIS = 18
"""Height of a time axis in pixels."""

STATES = {"closed": "c", "half-open": "h", "open": "o", "disabled": "d"}
"""The style sheet's class of each state."""


_IN_SHORT = {
    "c": "closed", "h": "half-open", "o": "open", "q": "cooling down", "t": "below TPM", "d": "disabled",
}  # fmt: skip
"""What a lane ends in: without the countdown, which would have the whole chart sent again each second."""


def chip(backend: BackendSnapshot) -> tuple[str, str]:
    """Return the class and the words of a backend's state, such as ``open · 12 s``."""
    if backend.is_open:
        left = backend.seconds_until_probe
        return "o", f"open · {countdown(left)}" if left else "open · probe due"
    if backend.state == "half-open":
        return "h", "half-open · probe"
    if backend.cooling_down is not None:
        return "q", f"cooling down · {countdown(backend.cooling_down) if backend.cooling_down else 'one request first'}"
    if backend.below_threshold:
        return "t", f"{backend.state} · below TPM"
    return STATES.get(backend.state, "d"), backend.state


def _svg(height: int, title: str, plot: str, words: str) -> str:
    """Put a chart together: ``plot`` in its own units, ``words`` in pixels and percents of the plot.

    The gutters are the element's padding, so words left of the plot have negative places.
    """
    return (
        f"<svg class='g' role='img' height='{height}'><title>{escape(title)}</title>"
        f"<svg viewBox='0 0 {WIDE} {height}' preserveAspectRatio='none'>{plot}</svg>{words}</svg>"
    )


def _left(words: str, y: int) -> str:
    return f"<text x='-{GUTTER}' y='{y}'>{words}</text>"


def _scale(words: str, y: int) -> str:
    return f"<text class='e' x='-8' y='{y}'>{words}</text>"


def _right(words: str, y: int) -> str:
    return f"<text x='100%' dx='8' y='{y}'>{words}</text>"


def _path(kind: str, marks: Iterable[str], colour: str = "") -> str:
    drawn = "".join(marks)
    look = f" stroke='{colour}'" if colour else ""
    return f"<path class='{kind}'{look} d='{drawn}'/>" if drawn else ""


def _x(at: float, view: View) -> int:
    return min(WIDE, max(0, round(WIDE * (at - view.since) / view.span)))


def _time_axis(view: View, height: int) -> str:
    """Label where the view begins, its middle and now."""
    minutes = view.span / 60
    y = height - 5
    return (
        f"<g class='a'><text y='{y}'>{MINUS}{number(minutes)} min</text><text class='m' x='50%' y='{y}'>"
        f"{MINUS}{number(minutes / 2)}</text>"
        f"<text class='e' x='100%' y='{y}'>now</text></g>"
    )


def circuits(snapshot: Snapshot, view: View) -> str:
    """Draw a lane per backend: what state its circuit was in, and where visits failed."""
    height = LANE * len(view.strips) + AXIS
    marks: dict[str, list[str]] = {kind: [] for kind in "cdhoqf"}
    words = []
    for lane, (strip, backend) in enumerate(zip(view.strips, snapshot.backends, strict=True)):
        y = LANE * lane + 10
        words.append(_left(escape(one_line(backend.name, 15)), y + 4) + _right(_IN_SHORT[chip(backend)[0]], y + 4))
        for stretch in strip.stretches:
            begin = min(_x(stretch.begin, view), WIDE - 2)
            marks[STATES.get(stretch.state, "d")].append(f"M{begin} {y}H{max(begin + 2, _x(stretch.end, view))}")
        marks["q"] += [f"M{_x(begin, view)} {y + 9}H{_x(end, view)}" for begin, end in strip.cool_downs]
        marks["f"] += [f"M{x} {y + 7}v6" for x in sorted({_x(at, view) for at in strip.failures})]
    plot = _grid(height - AXIS) + "".join(_path(f"l{kind}", drawn) for kind, drawn in marks.items())
    title = f"Circuits, last {duration(view.span)}; the table says how they are now"
    return _svg(height, title, plot, "".join(words) + _time_axis(view, height))


def _grid(height: int) -> str:
    return _path("lg", [f"M0 0V{height}M{WIDE // 2} 0V{height}M{WIDE} 0V{height}"])


def curves(snapshot: Snapshot, view: View) -> str:
    """Draw each backend's tokens per minute, named at its end, and the thresholds."""
    style = styles(backend.name for backend in snapshot.backends)
    thresholds = sorted({backend.tpm_threshold for backend in snapshot.backends if backend.tpm_threshold is not None})
    known = [value for strip in view.strips for _, value in strip.tpm if value is not None]
    top = nice_ceiling(max([*known, *(1.1 * threshold for threshold in thresholds)], default=0.0))
    height = CURVES + AXIS

    def y(value: float) -> int:
        return round(CURVES - (CURVES - 8) * value / top)

    plot = [_grid(CURVES), _path("lg", [f"M0 {CURVES}H{WIDE}"])]
    plot += [_path("lt", [f"M0 {y(threshold)}H{WIDE}"]) for threshold in thresholds]
    words = [_scale(count(top), 12), _time_axis(view, height)]
    if not any(y(level) > CURVES - 14 for level in thresholds):
        words.append(_scale("0", CURVES))
    ends = []
    for strip in view.strips:
        points = [None if value is None else (_x(at, view), y(value)) for at, value in strip.tpm]
        look = style[strip.name]
        dash = f" stroke-dasharray='{' '.join(map(str, look.dash))}'" if look.dash else ""
        if drawn := _polyline(points):
            plot.append(f"<path class='ln' stroke='{look.colour}'{dash} d='{drawn}'/>")
        if strip.tpm and strip.tpm[-1][1] is not None:
            ends.append((y(strip.tpm[-1][1]), strip.name))
    words += [_right(escape(one_line(name, 15)), at + 4) for at, name in _apart(ends)]
    words += [_scale(count(level), y(level) + 4) for level in thresholds if y(level) > 22]
    title = f"Tokens per minute, last {duration(view.span)}; the table says what they are now"
    return _svg(height, title, "".join(plot), "".join(words))


def _polyline(points: Iterable[tuple[int, int] | None]) -> str:
    """Join the points in relative steps, which are shorter to send; there is a gap where one is None."""
    drawn: list[str] = []
    last: tuple[int, int] | None = None
    for point in points:
        if point is not None:
            drawn.append(
                f"M{point[0]} {point[1]}l0 0" if last is None else f"{point[0] - last[0]:+d}{point[1] - last[1]:+d}"
            )
        last = point
    return "".join(drawn)


def _apart(labels: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Move labels apart so that none covers another, from the lowest up; those that no longer fit are left out."""
    placed: list[tuple[int, str]] = []
    limit = CURVES
    for at, name in sorted(labels, reverse=True):
        limit = min(at, limit)
        if limit < 4:
            break
        placed.append((limit, name))
        limit -= 12
    return placed


def nice_ceiling(value: float) -> float:
    """Return the next round number, at least 10."""
    if value <= 10:
        return 10.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0) if step * power >= value)


def requests(snapshot: Snapshot, view: View) -> str:
    """Draw the latest requests as waterfalls on one scale; nothing of a model's text is in them."""
    height = ROW * REQUESTS_KEPT + AXIS
    ends = [_seconds(trace, snapshot.at) for trace in view.requests]
    longest = max(ends, default=0.0) or 1.0
    marks: dict[str, list[str]] = {kind: [] for kind in "xywa"}
    words, told = [], []
    for row, trace in enumerate(view.requests):
        y = ROW * row + 9
        for step in trace.steps:
            for kind, begin, end in _segments(step, ends[row]):
                left = min(round(WIDE * begin / longest), WIDE - 3)
                marks[kind].append(f"M{left} {y}H{max(left + 2, round(WIDE * end / longest) - 1)}")
        who = escape(_ending(trace))
        told.append(f"{trace.request} {_ending(trace)}")
        words.append(_left(f"#{trace.request}", y + 4) + _scale(duration(ends[row]), y + 4) + _right(who, y + 4))
    y = height - 5
    if any(ends):
        words.append(
            f"<g class='a'><text y='{y}'>0</text><text class='e' x='100%' y='{y}'>{duration(longest)}</text></g>"
        )
    elif not ends:
        words.append("<text x='8' y='13'>none yet</text>")
    plot = _grid(height - AXIS) + "".join(_path(f"l{kind}", drawn) for kind, drawn in marks.items())
    return _svg(height, f"Latest requests: {', '.join(told) or 'none yet'}", plot, "".join(words))


def _segments(step: Step, until: float) -> Iterable[tuple[str, float, float]]:
    """Return the pieces of one step's bar: x failed, y until the first token, a answering, w waiting."""
    end = until if step.end is None else step.end
    if step.kind == "wait":
        yield "w", step.begin, min(end, until)
    elif step.kind == "attempt" and not step.ok and step.end is not None:
        yield "x", step.begin, end
    elif step.kind == "attempt":
        first = end if step.first_token is None and step.end is None else step.first_token or step.begin
        yield "y", step.begin, first
        if end > first:
            yield "a", first, end


def _seconds(trace: Trace, now: float) -> float:
    last = trace.events[-1]
    return (last.at if isinstance(last, ENDINGS) else max(now, last.at)) - trace.events[0].at


def _ending(trace: Trace) -> str:
    last = trace.events[-1]
    if not isinstance(last, ENDINGS):
        return "… running"
    if isinstance(last, RequestAnswered):
        return f"✓ {one_line(last.backend, 12)}"
    return "✗ failed" if isinstance(last, RequestFailed) else "\N{EN DASH} cancelled"
