"""Plots of what a profile has done over time; matplotlib is imported when the first one is drawn.

Each is drawn on the Axes given, or on new ones that a notebook shows as the value of a cell; pyplot is not used. A row
is a backend, in priority order, and all rows have one axis of time. A colour has one meaning in all plots, and never
carries it alone: states have hatching and heights, visits have shapes, and limits have words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import TYPE_CHECKING

from llx_magic.core.breaker import Cause
from llx_magic.core.statistics import percentile
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.observe.palette import ANSWERED, PROBE
from llx_magic.observe.plots import marks as drawing
from llx_magic.observe.plots.marks import DAY, LOOKS, MISSED, Key, band_key, days_of, ink, key_of
from llx_magic.observe.plots.scales import LogScale, below_zero, beside, over_zero
from llx_magic.units import count, duration, exact, number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_PROBE = {"marker": "D", "color": PROBE, "markersize": 5.5}
_SET_BY_HAND = {"marker": "v", "markersize": 6}
_CANCELLED = {"markerfacecolor": "none"}

_APART = 0.05
"""How far apart, as a share of the axis, two reasons beside failures of one row are at least."""

_MARKS_ON_A_LINE = 40
_SPARE_SPACE = 0.02


def plot_circuit(
    circuit: pd.DataFrame,
    cool_downs: pd.DataFrame,
    backends: Sequence[str],
    *,
    epoch: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw each backend's circuit: a thin line while closed, hatched and tall while open, a diamond where it is tried.

    ``circuit`` is as ``circuit_frame`` makes it, ``cool_downs`` as ``cool_downs_frame`` does; these are dotted. A
    triangle marks what was done by hand. Where nothing is known there is nothing.
    """
    names = _all_names(backends, circuit)
    with drawing.style(ax):
        ax = drawing.axes_or_new(ax, 1.4 + 0.42 * max(2, len(names)), "circuits over time")
        if circuit.empty:
            return drawing.say_nothing(ax, "Circuits")
        begin, end = _span(circuit)
        place = {name: row for row, name in enumerate(names)}
        by_hand = circuit[circuit.cause == str(Cause.BY_HAND)]
        spans = _circuit_bands(circuit, place)
        cooling = _cooling_bands(cool_downs, place, end)
        for state, bars in {**spans, "cooling down": cooling}.items():
            drawing.bands(ax, bars, LOOKS[state])
        drawing.dots(ax, [(row, at) for row, at, _ in spans["half-open"]], **_PROBE)
        hands = [(place[name] - 0.3, at) for name, at in zip(by_hand.backend, days_of(by_hand.began), strict=True)]
        drawing.dots(ax, hands, **_SET_BY_HAND)
        keys: list[Key] = [(state, band_key(LOOKS[state])) for state, bars in spans.items() if bars]
        keys += [("a probe begins", key_of(linestyle="", **_PROBE))] if spans["half-open"] else []
        keys += [("cooling down", band_key(LOOKS["cooling down"]))] if cooling else []
        keys += [(str(Cause.BY_HAND), key_of(linestyle="", color=ink(ax), **_SET_BY_HAND))] if hands else []
        drawing.title(ax, "Circuits", len(keys))
        drawing.time_axis(ax, begin, end, epoch)
        drawing.rows(ax, names)
        drawing.legend(ax, keys)
        return ax


def plot_latency(
    visits: pd.DataFrame,
    circuit: pd.DataFrame,
    cool_downs: pd.DataFrame,
    limits: Mapping[str, int | None],
    *,
    epoch: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the seconds of every visit, by when it ended, over the circuit and the cool-downs of its backend.

    ``visits`` is as ``visits_frame`` makes it. Heights are seconds on one logarithmic scale. A failed visit is a cross,
    with the reason beside the first of each; a cancelled one is hollow. ``limits`` are the backends' ``timeout_ms``, in
    priority order: lines where they are within the scale.
    """
    names = _all_names(limits, visits)
    with drawing.style(ax):
        ax = drawing.axes_or_new(ax, _height(names), "seconds of each visit over time")
        if visits.empty:
            return drawing.say_nothing(ax, "Seconds of each visit")
        within = [limit / 1000 for limit in limits.values() if limit is not None]
        scale, place = LogScale(visits.seconds, within), {name: row for row, name in enumerate(names)}
        begin, end = _span(circuit) if len(circuit) else (min(days_of(visits.ended)), max(days_of(visits.ended)))
        begin, end = _with_margin(min(begin, *days_of(visits.ended)), max(end, *days_of(visits.ended)))
        shown = _draw_background(ax, circuit, cool_downs, place, end)
        keys = [*_draw_visits(ax, visits, scale, place, end - begin), *shown]
        keys += _limit_keys(ax, limits, scale, place)
        below = [_half_within(visits, name) for name in names]
        drawing.title(ax, "Seconds of each visit", len(keys))
        scale.draw(ax, range(len(names)))
        drawing.time_axis(ax, begin, end, epoch)
        drawing.rows(ax, names, below)
        drawing.legend(ax, keys)
        return ax


def plot_tpm(
    tpm: pd.DataFrame,
    curves: pd.DataFrame,
    thresholds: Mapping[str, float | None],
    *,
    epoch: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw each backend's tokens per minute from zero, a mark after each of its replies, and the floor in force.

    ``tpm`` is as ``tpm_frame`` makes it, ``curves`` as ``curves_frame`` does. ``thresholds`` are the backends'
    ``tpm_threshold``, in priority order. Each row has a scale of its own, whose top is written beside it; where the
    rate is not known there is a gap.
    """
    known = tpm[tpm.tpm.notna()]
    names = _all_names(thresholds, known)
    with drawing.style(ax):
        ax = drawing.axes_or_new(ax, _height(names), "tokens per minute over time")
        if known.empty:
            said = NOTHING_ASKED if tpm.empty else "no reply has taken any time yet"
            return drawing.say_nothing(ax, "Tokens per minute", said)
        below = []
        for row, name in enumerate(names):
            own, floor = curves[curves.backend == name], thresholds.get(name)
            top = max(own.tpm.max() if len(own) else 0.0, floor or 0.0) or 1.0
            _draw_rate(ax, own, known[known.backend == name], row, top)
            if floor is not None:
                ax.axhline(over_zero(floor, top, row), linestyle=":", linewidth=1.2, color=ink(ax), zorder=2)
            latest = own.tpm.iloc[-1] if len(own) else math.nan
            now = "unknown now" if math.isnan(latest) else f"{number(float(latest))} now"
            below.append(now if floor is None else f"{now}, floor {exact(floor, ',')}")
            beside(ax, over_zero(top, top, row), count(top))
        keys: list[Key] = [("after a reply", key_of(marker="o", markersize=4.5, linewidth=1.4, color=ink(ax)))]
        if any(floor is not None for floor in thresholds.values()):
            keys.append(("floor", key_of(linestyle=":", color=ink(ax))))
        drawing.title(ax, "Tokens per minute", len(keys))
        drawing.time_axis(ax, *_with_margin(min(days_of(curves["at"])), max(days_of(curves["at"]))), epoch)
        drawing.rows(ax, names, below)
        drawing.legend(ax, keys)
        return ax


def _height(names: Sequence[str]) -> float:
    """Return the inches that so many rows take."""
    return 1.5 + max(0.5, 0.8 - 0.02 * len(names)) * max(2, len(names))


def _span(circuit: pd.DataFrame) -> tuple[float, float]:
    """Return the days from which and until which circuits are known."""
    begun = days_of(circuit.began)
    return min(begun), max(map(add, begun, circuit.seconds / DAY))


def _with_margin(begin: float, end: float) -> tuple[float, float]:
    return begin - (end - begin) * _SPARE_SPACE, end + (end - begin) * _SPARE_SPACE


def _circuit_bands(circuit: pd.DataFrame, place: Mapping[str, int]) -> dict[str, list[tuple[float, float, float]]]:
    """Return the bars of each state as (row, begin, days)."""
    found: dict[str, list[tuple[float, float, float]]] = {state: [] for state in LOOKS if state != "cooling down"}
    lasted = (circuit.seconds / DAY).tolist()
    if not any(lasted):  # all of it at one moment, as on virtual time
        lasted = [0.5 / DAY] * len(lasted)
    for name, state, at, days in zip(circuit.backend, circuit.state, days_of(circuit.began), lasted, strict=True):
        if name in place:
            found[state].append((place[name], at, days))
    return found


def _cooling_bands(cool_downs: pd.DataFrame, place: Mapping[str, int], end: float) -> list[tuple[float, float, float]]:
    spans = zip(cool_downs.backend, days_of(cool_downs.began), cool_downs.seconds / DAY, strict=True)
    return [(place[name], at, min(days, end - at)) for name, at, days in spans if name in place and at < end]


def _draw_background(
    ax: Axes, circuit: pd.DataFrame, cool_downs: pd.DataFrame, place: Mapping[str, int], end: float
) -> list[Key]:
    """Draw when backends were out or cooling down, behind what is drawn later; return the keys of what there is."""
    spans = _circuit_bands(circuit, place)
    shown = {
        "open": spans["open"],
        "half-open": spans["half-open"],
        "cooling down": _cooling_bands(cool_downs, place, end),
    }
    for state, bars in shown.items():
        drawing.bands(ax, bars, LOOKS[state], pale=True)
    return [(state, band_key(LOOKS[state], pale=True)) for state, bars in shown.items() if bars]


def _draw_visits(
    ax: Axes, visits: pd.DataFrame, scale: LogScale, place: Mapping[str, int], width: float
) -> Iterator[Key]:
    """Draw a mark for each visit; yield the keys of the kinds that there are."""
    at, rows = days_of(visits.ended), [place[name] for name in visits.backend]
    spots = [(scale.height(seconds, row), when) for seconds, row, when in zip(visits.seconds, rows, at, strict=True)]
    looks: dict[str, dict[str, object]] = {
        "answered": {"marker": "o"},
        "failed": MISSED,
        "cancelled": {"marker": "o", **_CANCELLED},
    }
    for outcome, look in looks.items():
        mine = [spot for spot, own in zip(spots, visits.outcome, strict=True) if own == outcome]
        drawing.dots(ax, mine, **look)
        if mine:
            yield outcome, key_of(**{"linestyle": "", "color": ink(ax), "markersize": 5, **look})
    _say_reasons(ax, zip(spots, rows, visits.reason.where(visits.outcome == "failed"), strict=True), _APART * width)


def _say_reasons(ax: Axes, visits: Iterable[tuple[tuple[float, float], int, str]], apart: float) -> None:
    """Write why visits failed, beside the first of those in a row of one backend that failed for the same reason."""
    before: dict[int, str] = {}
    said_at: dict[int, float] = {}
    for (high, when), row, known in visits:
        reason = known if isinstance(known, str) else ""
        if reason and reason != before.get(row) and when - said_at.get(row, -math.inf) > apart:
            said_at[row] = when
            ax.annotate(
                reason, (when, high), xytext=(0, -5), textcoords="offset points", ha="center", va="top",
                fontsize="x-small", parse_math=False, zorder=4,
                bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            )  # fmt: skip
        before[row] = reason


def _limit_keys(ax: Axes, limits: Mapping[str, int | None], scale: LogScale, place: Mapping[str, int]) -> Iterator[Key]:
    """Draw each limit that is within the scale; yield a key for each length that there is."""
    for limit in sorted({limit for limit in limits.values() if limit is not None}):
        having = [name for name, own in limits.items() if own == limit]
        far = limit / 1000 > scale.top
        if not far:
            begins = [scale.height(limit / 1000, place[name]) for name in having]
            for high in begins:
                ax.axhline(high, linestyle="--", linewidth=1, color=ink(ax), zorder=2)
        whose = "" if len(having) == len(limits) else " of " + ", ".join(map(drawing.short, having))
        text = f"timeout {duration(limit / 1000)}{whose}" + (", above the scale" if far else "")
        yield text, key_of(linestyle="" if far else "--", linewidth=1, color=ink(ax))


def _half_within(visits: pd.DataFrame, name: str) -> str:
    answered = visits.seconds[(visits.backend == name) & (visits.outcome == "answered")]
    half = percentile(answered.tolist(), 0.5)
    return "none answered" if half is None else f"half within {duration(half)}"


def _draw_rate(ax: Axes, curve: pd.DataFrame, replies: pd.DataFrame, row: int, top: float) -> None:
    """Draw one backend's curve from the foot of its row, with a pale area below, and marks after its replies."""
    if curve.empty:
        return
    days, high = days_of(curve["at"]), [over_zero(rate, top, row) for rate in curve.tpm]
    after = curve["at"].isin(replies["at"]).to_numpy().nonzero()[0].tolist()
    marked = after[:: max(1, len(after) // _MARKS_ON_A_LINE)]
    line = ax.plot(days, high)[0]
    line.set(color=ink(ax), linewidth=1.4, marker="o", markersize=3.5, markevery=marked, zorder=3)
    ax.fill_between(days, high, below_zero(row), color=ANSWERED, alpha=0.25, linewidth=0)


def _all_names(backends: Iterable[str], frame: pd.DataFrame) -> list[str]:
    """Return the backends in priority order, then those that the frame remembers and the profile has no longer."""
    return list(dict.fromkeys([*backends, *frame.backend]))
