"""Plots of what a profile has done; matplotlib is imported when the first one is drawn.

Each is drawn on the Axes given, or on new ones that a notebook shows as the value of a cell; pyplot is not used.
Nothing is told by colour alone: backends have markers and dashes, states have heights and hatching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.core.breaker import Cause
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.observe.palette import STATE_COLOURS, styles
from llx_magic.observe.plots import marks as drawing
from llx_magic.observe.plots.marks import DAY, Key, days_of, ink, key_of, line_of, look_of, short
from llx_magic.text.screen import one_line
from llx_magic.units import count, duration, exact

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from llx_magic.core.trace import Step, Trace

_LONGEST_TEXT = 100
_MARKS_ON_A_LINE = 15
_WIDE_RANGE = 30.0
"""From this ratio of the slowest to the median on, latencies are drawn on a logarithmic axis."""

_FAR = 2.5
"""A limit beyond so many times the greatest value is not drawn to scale."""


class _Look(NamedTuple):
    height: float
    hatch: str


_LOOKS = {
    "closed": _Look(0.16, ""),
    "half-open": _Look(0.45, "...."),
    "open": _Look(0.74, "////"),
    "disabled": _Look(0.16, "xx"),
}


class _Unit(NamedTuple):
    """What an upright axis counts: how a limit is called and written, and the axis' own numbers."""

    limit: str
    say: Callable[[float], str]
    tick: Callable[[float], str]


_DURATIONS = _Unit("timeout", duration, duration)
_RATES = _Unit("threshold", lambda rate: exact(rate, ","), count)

_COOLING = _Look(0.12, "\\\\\\\\")
_PROBE = {"marker": "D", "markerfacecolor": STATE_COLOURS["half-open"]}
_SET_BY_HAND = {"marker": "v"}


def plot_circuit(
    circuit: pd.DataFrame, cool_downs: pd.DataFrame, backends: Sequence[str], *, ax: Axes | None = None
) -> Axes:
    """Draw a lane per backend, the first at the top: thin while closed, hatched and tall while open, dots for probes.

    ``circuit`` is as ``circuit_frame`` makes it, ``cool_downs`` as ``cool_downs_frame`` does; these are drawn below the
    circuit, with backslashes. A triangle marks what was done by hand.
    """
    names = _all_names(backends, circuit)
    ax = drawing.axes_or_new(ax, 1.3 + 0.34 * max(2, len(names)))
    if circuit.empty:
        return drawing.say_nothing(ax, "Circuits")
    drawing.title(ax, "Circuits")
    place = {name: row for row, name in enumerate(names)}
    begun, lasted = days_of(circuit.began), (circuit.seconds / DAY).tolist()
    if not any(lasted):  # all of it at one moment, as on virtual time
        lasted = [0.5 / DAY] * len(lasted)
    end = max(map(add, begun, lasted))
    spans = list(zip(circuit.backend.map(place), circuit.state, begun, lasted, strict=True))
    for state, look in _LOOKS.items():
        bars = [(lane, at, days) for lane, own, at, days in spans if own == state]
        _bars(ax, bars, look, STATE_COLOURS[state])
        if state == "half-open":  # a probe is often too short to be seen as a bar
            _marks(ax, [(lane, at) for lane, at, _ in bars], **_PROBE)
    by_hand = circuit.cause == str(Cause.BY_HAND)
    _marks(ax, [(row[0] - 0.45, row[2]) for row, set_ in zip(spans, by_hand, strict=True) if set_], **_SET_BY_HAND)
    cooled = zip(cool_downs.backend, days_of(cool_downs.began), cool_downs.seconds / DAY, strict=True)
    cooling = [(place[name] + 0.38, at, min(days, end - at)) for name, at, days in cooled if name in place and at < end]
    _bars(ax, cooling, _COOLING, STATE_COLOURS["half-open"])
    drawing.time_axis(ax, min(begun), end)
    drawing.lanes(ax, names)
    drawing.legend(ax, _state_keys(circuit, any_cooling=bool(cooling)))
    return ax


def plot_latency(attempts: pd.DataFrame, limits: Mapping[str, int | None], *, ax: Axes | None = None) -> Axes:
    """Draw the seconds of every attempt that has ended by when it began; failed and cancelled ones are hollow.

    ``attempts`` is as ``attempts_frame`` makes it. ``limits`` are the backends' ``timeout_ms``, in priority order.
    """
    ended = attempts[attempts.seconds.notna()]
    drawn = styles(_all_names(limits, ended))
    ax = drawing.axes_or_new(ax, _height(len(drawn)))
    title = "Seconds of each attempt"
    if ended.empty:
        return drawing.say_nothing(ax, title)
    keys: list[Key] = []
    for name, rows in _of_each(drawn, ended):
        answered = rows.outcome == "answered"
        median = f"median {duration(rows.seconds[answered].median())}" if answered.any() else "none answered"
        line_of(ax, rows.started, rows.seconds, drawn[name], linewidth=0.6, alpha=0.5, marker="")
        line_of(ax, rows.started[answered], rows.seconds[answered], drawn[name], linestyle="")
        line_of(ax, rows.started[~answered], rows.seconds[~answered], drawn[name], linestyle="", markerfacecolor="none")
        keys.append((f"{short(name)}, {median}", key_of(**look_of(drawn[name]), linewidth=0.6)))
    if len(keys) == 1:
        title = f"{title}: {keys.pop()[0]}"
    if (ended.outcome != "answered").any():
        hollow = key_of(marker="o", color=ink(), markerfacecolor="none", linestyle="")
        keys.append(("hollow: failed or cancelled", hollow))
    drawing.title(ax, title)
    wide = ended.seconds.max() > _WIDE_RANGE * ended.seconds.median() > 0
    seconds = {name: None if limit is None else limit / 1000 for name, limit in limits.items()}
    _measure(ax, ended.seconds.max(), seconds, _DURATIONS, scale="log" if wide else "linear")
    ax.set_ylabel("time taken")
    drawing.time_axis_of(ax, ended.started)
    drawing.legend(ax, keys)
    return ax


def plot_tpm(
    tpm: pd.DataFrame, curves: pd.DataFrame, thresholds: Mapping[str, float | None], *, ax: Axes | None = None
) -> Axes:
    """Draw each backend's tokens per minute, a mark after each of its replies, and the thresholds in force.

    ``tpm`` is as ``tpm_frame`` makes it, ``curves`` as ``curves_frame`` does. ``thresholds`` are the backends'
    ``tpm_threshold``, in priority order.
    """
    known = tpm[tpm.tpm.notna()]
    drawn = styles(_all_names(thresholds, known))
    ax = drawing.axes_or_new(ax, _height(len(drawn)))
    title = "Tokens per minute"
    if known.empty:
        return drawing.say_nothing(ax, title, NOTHING_ASKED if tpm.empty else "no reply has taken any time yet")
    keys: list[Key] = []
    for name, rows in _of_each(drawn, known):
        curve = curves[curves.backend == name]
        replies = curve["at"].isin(rows["at"]).to_numpy().nonzero()[0].tolist()
        marked = replies[:: max(1, len(replies) // _MARKS_ON_A_LINE)]
        keys.append((short(name), line_of(ax, curve["at"], curve.tpm, drawn[name], linewidth=1.4, markevery=marked)))
    if len(keys) == 1:
        title = f"{title}: {keys.pop()[0]}"
    drawing.title(ax, title)
    _measure(ax, known.tpm.max(), thresholds, _RATES)
    ax.set_ylabel("tokens per minute")
    drawing.time_axis_of(ax, curves["at"])
    drawing.legend(ax, keys)
    return ax


def plot_waterfall(trace: Trace, *, ax: Axes | None = None) -> Axes:
    """Draw a request from the first decision to the answer: a row per skip, attempt, wait and change, top down.

    An attempt is pale until its first token; one that failed is hatched; a wait is dotted.
    """
    steps = trace.steps
    ax = drawing.axes_or_new(ax, 1.1 + 0.42 * max(2, len(steps)))
    if not steps:
        return drawing.say_nothing(ax, "Waterfall")
    drawing.title(ax, trace.headline)
    total = max([trace.seconds, *(step.end or 0.0 for step in steps)]) or 1e-3
    for row, step in enumerate(steps):
        _step(ax, row, step, total)
        if row:
            ax.axhline(row - 0.5, linewidth=0.5, color=ink(), alpha=0.2)
        ax.text(
            0.006,
            row - 0.26,
            one_line(step.text, _LONGEST_TEXT),
            transform=ax.get_yaxis_transform(),
            parse_math=False,
            fontsize="x-small",
            va="center",
            clip_on=True,
        )
    ax.set_xlim(0, total)
    ax.set_xlabel("seconds from the start of the request")
    drawing.lanes(ax, [step.backend for step in steps])
    return ax


def _bars(ax: Axes, bars: Sequence[tuple[float, float, float]], look: _Look, colour: str) -> None:
    """Draw bars of one look, given as (lane, begin, days): one collection, and one path per lane.

    Thousands of them take no longer than one, since what is hatched is hatched path by path.
    """
    import numpy as np
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path

    half = look.height / 2
    lanes: dict[float, list[tuple[tuple[float, float], ...]]] = {}
    for lane, at, days in bars:
        low, high = lane - half, lane + half
        corners = ((at, low), (at, high), (at + days, high), (at + days, low))
        lanes.setdefault(lane, []).append(corners)
    if lanes:
        paths = [Path.make_compound_path_from_polys(np.array(polygons)) for polygons in lanes.values()]
        edge = ink() if look.hatch else "none"
        ax.add_collection(PathCollection(paths, facecolor=colour, edgecolor=edge, linewidth=0.6, hatch=look.hatch))


def _marks(ax: Axes, places: Sequence[tuple[float, float]], **look: object) -> None:
    if places:
        marks = ax.plot([at for _, at in places], [lane for lane, _ in places])[0]
        marks.set(linestyle="", markersize=6, color=ink(), **look)


def _step(ax: Axes, row: int, step: Step, total: float) -> None:
    if step.kind not in ("attempt", "wait"):
        ax.plot([step.begin], [row + 0.2], marker=">", markersize=5, color=ink(), clip_on=False)
        return
    end = total if step.end is None else min(step.end, total)
    if step.kind == "wait":
        ax.plot([step.begin, end], [row + 0.2] * 2, linestyle=":", linewidth=1.6, color=ink())
        return
    failed = not step.ok and not step.outrun and step.end is not None
    colour = STATE_COLOURS["open" if failed else "closed"]
    first = end if step.first_token is None else step.first_token
    for begin, until, shade in ((step.begin, first, (colour, 0.3)), (first, end, colour)):
        if begin == step.begin or step.first_token is not None:
            ax.barh(
                row + 0.2,
                max(until - begin, total * 0.003),
                left=begin,
                height=0.36,
                facecolor=shade,
                edgecolor=ink(),
                linewidth=0.6,
                hatch="////" if failed else "",
            )


def _height(backends: int) -> float:
    """Return the inches in which the legend of so many backends has its place."""
    return max(3.4, 1.2 + 0.22 * backends)


def _of_each(drawn: Iterable[str], frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each backend that has any, in the order of the styles."""
    for name in drawn:
        rows = frame[frame.backend == name]
        if not rows.empty:
            yield name, rows


def _all_names(backends: Iterable[str], frame: pd.DataFrame) -> list[str]:
    """Return the backends in priority order, then those that the frame remembers and the profile has no longer."""
    return list(dict.fromkeys([*backends, *frame.backend]))


def _state_keys(circuit: pd.DataFrame, *, any_cooling: bool) -> list[Key]:
    from matplotlib.patches import Patch

    def patch(colour: str, look: _Look) -> Patch:
        return Patch(facecolor=colour, edgecolor=ink(), hatch=look.hatch, linewidth=0.6)

    present = set(circuit.state)
    keys: list[Key] = [(state, patch(STATE_COLOURS[state], look)) for state, look in _LOOKS.items() if state in present]
    if "half-open" in present:
        keys.append(("a probe begins", key_of(**_PROBE, color=ink(), linestyle="")))
    if any_cooling:
        keys.append(("cooling down", patch(STATE_COLOURS["half-open"], _COOLING)))
    if (circuit.cause == str(Cause.BY_HAND)).any():
        keys.append((str(Cause.BY_HAND), key_of(**_SET_BY_HAND, color=ink(), linestyle="")))
    return keys


def _measure(ax: Axes, most: float, limits: Mapping[str, float | None], unit: _Unit, *, scale: str = "linear") -> None:
    """Scale the upright axis to the data and draw each limit; one that would squeeze the data is named at the top."""
    ax.set_yscale(scale)
    ax.yaxis.set_major_formatter(lambda value, _place: unit.tick(value))
    ax.yaxis.set_minor_formatter("")
    top = most
    for limit in sorted({limit for limit in limits.values() if limit is not None}):
        having = [short(name) for name, own in limits.items() if own == limit]
        text = f"{unit.limit} {unit.say(limit)}" + ("" if len(having) == len(limits) else " of " + ", ".join(having))
        far = limit > _FAR * most
        if not far:
            top = max(top, limit)
            ax.axhline(limit, linestyle="--", linewidth=1, color=ink())
        ax.annotate(
            f"↑ {text}" if far else text,
            (0.004, 1 if far else limit),
            xycoords="axes fraction" if far else ax.get_yaxis_transform(),
            xytext=(0, -10 if far else 3),
            textcoords="offset points",
            fontsize="small",
            parse_math=False,
            bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )
    if scale == "linear":
        ax.set_ylim(0, top * 1.12 or 1)
