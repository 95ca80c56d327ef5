"""Plots of what a profile has done; matplotlib is imported when the first one is drawn.

Each is drawn on the Axes given, or on new ones that a notebook shows as the value of a cell; pyplot is not used.
Nothing is told by colour alone: backends have markers and dashes, states have heights and hatching.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.core.text import one_line
from llx_magic.observe import drawing
from llx_magic.observe.drawing import DAY, NOTHING, Key, days_of, ink, key_of, line_of, look_of, short
from llx_magic.observe.palette import STATE_COLOURS, styles

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


def plot_circuit(circuit: pd.DataFrame, backends: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw a lane per backend, the first at the top: thin while closed, hatched and tall while open, dots for probes.

    ``circuit`` is as ``circuit_frame`` makes it. A triangle marks what was done by hand.
    """
    names = _all_names(backends, circuit)
    ax = drawing.axes_or_new(ax, 1.3 + 0.34 * max(2, len(names)))
    if circuit.empty:
        return drawing.say_nothing(ax, "Circuits")
    drawing.title(ax, "Circuits")
    place = {name: row for row, name in enumerate(names)}
    days, lasted = days_of(circuit.began), (circuit.seconds / DAY).tolist()
    if not any(lasted):  # all of it at one moment, as on virtual time
        lasted = [0.5 / DAY] * len(lasted)
    intervals = zip(circuit.backend, circuit.state, days, lasted, circuit.cause, strict=True)
    for name, state, began, length, cause in intervals:
        _interval(ax, place[name], state, began, length)
        if cause == "by hand":
            ax.plot([began], [place[name] - 0.45], marker="v", markersize=6, color=ink())
    drawing.time_axis(ax, min(days), max(map(add, days, lasted)))
    drawing.lanes(ax, names)
    drawing.legend(ax, _state_keys(circuit))
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
        median = f"median {rows.seconds[answered].median():.2g} s" if answered.any() else "none answered"
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
    _measure(ax, ended.seconds.max(), seconds, "timeout {:g} s", scale="log" if wide else "linear")
    ax.set_ylabel("seconds")
    drawing.time_axis_of(ax, ended.started)
    drawing.legend(ax, keys)
    return ax


def plot_tpm(tpm: pd.DataFrame, thresholds: Mapping[str, float | None], *, ax: Axes | None = None) -> Axes:
    """Draw each backend's tokens per minute after each of its replies, and the thresholds in force.

    ``tpm`` is as ``tpm_frame`` makes it. ``thresholds`` are the backends' ``tpm_threshold``, in priority order.
    """
    known = tpm[tpm.tpm.notna()]
    drawn = styles(_all_names(thresholds, known))
    ax = drawing.axes_or_new(ax, _height(len(drawn)))
    title = "Tokens per minute after each reply"
    if known.empty:
        return drawing.say_nothing(ax, title, NOTHING if tpm.empty else "no reply has taken any time yet")
    keys: list[Key] = []
    for name, rows in _of_each(drawn, known):
        every = max(1, len(rows) // _MARKS_ON_A_LINE)
        line = line_of(ax, rows["at"], rows.tpm, drawn[name], linewidth=1.4, markevery=every)
        keys.append((short(name), line))
    if len(keys) == 1:
        title = f"{title}: {keys.pop()[0]}"
    drawing.title(ax, title)
    _measure(ax, known.tpm.max(), thresholds, "threshold {:g}", scale="linear")
    ax.set_ylabel("tokens per minute")
    drawing.time_axis_of(ax, known["at"])
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


def _interval(ax: Axes, lane: int, state: str, began: float, days: float) -> None:
    look, colour = _LOOKS[state], STATE_COLOURS[state]
    ax.broken_barh(
        [(began, days)],
        (lane - look.height / 2, look.height),
        facecolor=colour,
        edgecolor=ink() if look.hatch else "none",
        hatch=look.hatch,
        linewidth=0.6,
    )
    if state == "half-open":  # a probe is often too short to be seen as a bar
        ax.plot([began], [lane], marker="D", markersize=6, color=colour, markeredgecolor=ink())


def _step(ax: Axes, row: int, step: Step, total: float) -> None:
    if step.kind not in ("attempt", "wait"):
        ax.plot([step.begin], [row + 0.2], marker=">", markersize=5, color=ink(), clip_on=False)
        return
    end = total if step.end is None else min(step.end, total)
    if step.kind == "wait":
        ax.plot([step.begin, end], [row + 0.2] * 2, linestyle=":", linewidth=1.6, color=ink())
        return
    failed = not step.ok and step.end is not None
    colour = STATE_COLOURS["open" if failed else "closed"]
    first = end if step.first_token is None else step.first_token
    for begin, until, shade in ((step.begin, first, drawing.pale(colour)), (first, end, colour)):
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


def _state_keys(circuit: pd.DataFrame) -> list[Key]:
    from matplotlib.patches import Patch

    present = set(circuit.state)
    keys: list[Key] = [
        (state, Patch(facecolor=STATE_COLOURS[state], edgecolor=ink(), hatch=look.hatch, linewidth=0.6))
        for state, look in _LOOKS.items()
        if state in present
    ]
    if (circuit.cause == "by hand").any():
        keys.append(("by hand", key_of(marker="v", color=ink(), linestyle="")))
    return keys


def _measure(ax: Axes, most: float, limits: Mapping[str, float | None], wording: str, *, scale: str) -> None:
    """Scale the upright axis to the data and draw each limit; one that would squeeze the data is named at the top."""
    ax.set_yscale(scale)
    ax.yaxis.set_major_formatter("{x:g}")
    top = most
    for limit in sorted({limit for limit in limits.values() if limit is not None}):
        having = [short(name) for name, own in limits.items() if own == limit]
        text = wording.format(limit) + ("" if len(having) == len(limits) else " of " + ", ".join(having))
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
