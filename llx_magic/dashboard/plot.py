"""The picture in a backend's row: every visit as a mark over time, and behind them how its circuit was."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from llx_magic.core.breaker import CircuitState
from llx_magic.core.circuits import ADDED, Period
from llx_magic.dashboard.axis import LogScale, clock, ticks
from llx_magic.dashboard.svg import CROSS, WIDE, band, glyphs, path, percents, place, stretched, svg
from llx_magic.dashboard.view import Axis, Strip, Visits
from llx_magic.observe.status.standing import times
from llx_magic.text.screen import one_line
from llx_magic.units import duration, number, plural

HEIGHT = 60
"""Height of the picture in pixels."""

_TOP, _FOOT, _FAILED = 8, 42, 56
"""Where the scale of seconds ends and begins, and the line on which failures stand."""

_FINE, _COARSE, _MANY = 4, 8, 60
"""Marks closer than so many units are one; more are where there are many visits."""

_MOST_LINES = 4
"""So many powers of ten have a line at most."""

_SLICES = 8
"""Into how many pieces the axis is divided that say on hovering what happened in them."""

_NARROWEST = 220
"""The least width of the picture on any page, in pixels: what is not to meet on it meets nowhere."""

_CROSS = 16
"""How far a cross reaches to each side, in units."""

_APART = 100
"""Failures for the same reason are one group up to this distance, in units."""

_BANDS_TOLD = 8
"""So many bands say on hovering what they are; more are drawn in short."""

_LOADED = 190
"""The least width of the space before the data in which it is said since when there is any, in units."""

_LEAST_BAND, _LEAST_TOLD = 9, 12
"""How wide a band is at least, and from how many units on it says what it is."""

_BANDS = {CircuitState.OPEN: ("o", "out"), CircuitState.HALF_OPEN: ("h", "tried again")}


_Placed = tuple[int, Visits]
"""Visits, and where they stand on the axis."""


def draw(strip: Strip, axis: Axis, scale: LogScale) -> str:
    """Draw one backend's time: heights are seconds on ``scale``, crosses are failures, rings are cancelled visits."""
    begin = place(strip.periods[0].begin, axis) if strip.periods else 0
    places = defaultdict[str, list[_Placed]](list)
    for visits in strip.visits:
        places[visits.kind].append((place(visits.end, axis), visits))
    lines = [
        f"M{begin} {_height(10.0**power, scale)}H{WIDE}"
        for power in scale.powers[:: math.ceil(len(scale.powers) / _MOST_LINES)]
    ]
    upright = [f"M{place(at, axis)} 0V{HEIGHT}" for at, _ in ticks(axis)]
    many, few = _bands(strip, axis)
    marks = many + path("lg", [*lines, *upright]) + path("v", _dots(places["answered"], scale))
    rings = sorted({at // _FINE * _FINE for at, _ in places["cancelled"]})
    words = (
        _scale(scale, has_failed="failed" in places)
        + _loaded(strip, axis, begin)
        + glyphs("c", "○", rings, _FAILED + 2)
        + "".join(_failures(places["failed"], axis))
        + "".join(_slices(strip.visits, axis))
    )
    return svg("g", HEIGHT, _title(strip, axis), few, stretched(HEIGHT, marks), words)


def _height(seconds: float, scale: LogScale) -> int:
    return round(_FOOT - (_FOOT - _TOP) * scale.share(seconds))


def _scale(scale: LogScale, *, has_failed: bool) -> str:
    """Write what the highest and the lowest line mean, left of the picture, and what stands on that of failures."""
    low, high = (f"{number(end)} s" if end >= 1 else duration(end) for end in scale.ends)
    lines = {_TOP + 3: high, _FOOT + 4: low} | ({_FAILED + 2: "failed"} if has_failed else {})
    said = "".join(f"<text x='-6' y='{y}'>{words}</text>" for y, words in lines.items())
    return f"<g class='a e'>{said}</g>"


def _dots(answered: Sequence[_Placed], scale: LogScale) -> Iterator[str]:
    """Draw a dot for each visit; where there are many at one place, a line from the fastest to the slowest."""
    step = _FINE if len(answered) <= _MANY else _COARSE
    columns = defaultdict[int, list[int]](list)
    for at, visits in answered:
        columns[at // step * step] += {_height(visits.low, scale), _height(visits.high, scale)}
    for at, heights in columns.items():
        if len(heights) > 2 or (len(heights) == 2 and abs(heights[0] - heights[1]) < 4):
            yield f"M{at} {max(heights)}V{min(heights)}"
        else:
            yield from (f"M{at} {height}h0" for height in heights)


def _failures(failed: Sequence[_Placed], axis: Axis) -> Iterator[str]:
    """Draw a cross for each failed visit, with the reason beside the first of those that belong together."""
    groups = list(_groups(failed))
    free = -WIDE
    for order, group in enumerate(groups):
        first, last = group[0][0], group[-1][0]
        reason = one_line(group[0][1].reason, 16)
        needed = round((len(reason) * 6.5 + 14) * WIDE / _NARROWEST)
        following = groups[order + 1][0][0] if order + 1 < len(groups) else WIDE
        said, beyond = "", last
        if first - free >= needed <= first:
            said = f"<text class='e f' x='{percents(first)}' dx='-9' y='{_FAILED}'>{escape(reason)}</text>"
        elif following - last - _CROSS >= needed:
            said = f"<text class='f' x='{percents(last)}' dx='9' y='{_FAILED}'>{escape(reason)}</text>"
            beyond = last + needed
        free = beyond + _CROSS
        count = sum(visits.visits for _, visits in group)
        until = f" to {clock(group[-1][1].end, axis)}" if count > 1 else ""
        title = f"{escape(reason)} {times(count)}, {clock(group[0][1].begin, axis)}{until}"
        crosses = glyphs("x", CROSS, sorted({at // _FINE * _FINE for at, _ in group}), _FAILED)
        yield f"<g><title>{title}</title>{crosses}{said}</g>"


def _groups(failed: Sequence[_Placed]) -> Iterator[list[_Placed]]:
    """Yield the failures that belong together: for the same reason, and close to each other."""
    group: list[_Placed] = []
    for at, visits in failed:
        if group and (group[-1][1].reason != visits.reason or at - group[-1][0] > _APART):
            yield group
            group = []
        group.append((at, visits))
    if group:
        yield group


def _bands(strip: Strip, axis: Axis) -> tuple[str, str]:
    """Draw when the circuit was open or half-open, and cool-downs: those that are stretched, and those that are not.

    A few have words and a hatching of their own. Of many each kind is one path, with an outline of its own.
    """
    found = [
        (*_BANDS[CircuitState(period.state)], period.begin, period.end, period.cause)
        for period in strip.periods
        if period.state in _BANDS
    ]
    found += [("q", "cooling down", begin, end, "after a rate limit") for begin, end in strip.cool_downs]
    places = [
        (kind, left := min(place(begin, axis), WIDE - _LEAST_BAND), max(place(end, axis), left + _LEAST_BAND))
        for kind, _, begin, end, _ in found
    ]
    if len(found) > _BANDS_TOLD:
        marks = defaultdict[str, set[str]](set)
        for kind, left, right in places:
            marks[kind].add(f"M{left} 0H{right}V{HEIGHT}H{left}z")
        return "".join(path(f"{kind}{kind}", sorted(drawn)) for kind, drawn in marks.items()), ""
    drawn = []
    for (kind, name, begin, end, cause), (_, left, right) in zip(found, places, strict=True):
        until = "" if end >= axis.now else f" to {clock(end, axis)}"
        title = f"{name} from {clock(begin, axis)}{until}: {cause}" if right - left > _LEAST_TOLD else ""
        drawn.append(band(kind, left, right, title))
    return "", "".join(drawn)


def _loaded(strip: Strip, axis: Axis, begin: int) -> str:
    """Say since when the backend has been there, where it has not been there from the first."""
    if not _is_new(strip.periods) or begin < _LOADED:
        return ""
    since = duration(axis.now - strip.periods[0].begin)
    return f"<text class='e a' x='{percents(begin)}' dx='-6' y='28'>loaded {since} ago</text>"


def _is_new(periods: Sequence[Period]) -> bool:
    return bool(periods) and periods[0].cause == ADDED


def _slices(visits: Iterable[Visits], axis: Axis) -> Iterator[str]:
    """Say on hovering what happened in each piece of the axis."""
    length = (axis.now - axis.since) / _SLICES
    pieces = defaultdict[int, list[Visits]](list)
    for each in visits:
        pieces[min(_SLICES - 1, max(0, int((each.end - axis.since) / length)))].append(each)
    for piece, found in pieces.items():
        left = percents(piece * WIDE / _SLICES)
        title = f"from {clock(axis.since + piece * length, axis)}: {_told(found)}"
        yield f"<rect class='z' x='{left}' width='{100 / _SLICES}%'><title>{escape(title)}</title></rect>"


def _told(found: Sequence[Visits]) -> str:
    answered = [each for each in found if each.kind == "answered"]
    counts = Counter[str]()
    for each in found:
        counts[each.reason or each.kind] += each.visits
    said = [f"{count} {name}" for name, count in counts.items() if name != "answered"]
    if answered:
        low, high = duration(min(each.low for each in answered)), duration(max(each.high for each in answered))
        said.insert(0, f"{counts['answered']} answered in {low if low == high else f'{low} to {high}'}")
    return ", ".join(said)


def _title(strip: Strip, axis: Axis) -> str:
    count = sum(visits.visits for visits in strip.visits)
    return f"{one_line(strip.name, 60)}: {plural(count, 'visit')} since {clock(axis.since, axis)}"
