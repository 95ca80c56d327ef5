"""What a dashboard shows, as files: a picture in two formats, and its tables."""

from __future__ import annotations

import importlib
import io
import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.charts.circuits import chip
from llx_magic.dashboard.panel import standalone_svg
from llx_magic.dashboard.timeline import Strip, View
from llx_magic.files.newfiles import write_new
from llx_magic.observe.palette import STATE_COLOURS, styles
from llx_magic.observe.report import caption
from llx_magic.units import count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_HEIGHTS = {"closed": 0.08, "disabled": 0.08, "half-open": 0.35, "open": 0.7}


def export(
    folder: Path, stem: str, snapshot: Snapshot, view: View, tables: Mapping[str, pd.DataFrame]
) -> tuple[list[str], bool]:
    """Write picture and tables into a folder; return the files' names, and whether Parquet could be written.

    No file is ever replaced: a number is added to ``stem`` where a name is taken. Parquet needs a pyarrow that works.

    Raises:
        OSError: where the folder cannot be written to.
    """
    contents = {".svg": standalone_svg(snapshot, view).encode(), ".png": png(snapshot, view)}
    parquet = _can_write_parquet()
    for name, frame in tables.items():
        contents[f"-{name}.csv"] = frame.to_csv().encode()
        if parquet:
            contents[f"-{name}.parquet"] = _parquet(frame)
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    return [_write_new(folder, safe, ending, content) for ending, content in contents.items()], parquet


def png(snapshot: Snapshot, view: View) -> bytes:
    """Return circuits and tokens per minute as a PNG file."""
    from matplotlib.figure import Figure

    lanes = len(view.strips)
    figure = Figure(figsize=(9.0, 3.2 + 0.35 * lanes), dpi=150, layout="constrained")
    figure.suptitle(caption(snapshot), parse_math=False, fontsize="medium")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(0.6 + 0.35 * lanes, 2.2))
    _draw_circuits(upper, snapshot, view)
    _draw_curves(lower, snapshot, view)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_circuits(axes: Axes, snapshot: Snapshot, view: View) -> None:
    for place, strip in enumerate(view.strips):
        _draw_lane(axes, place, strip, view)
    labels = [f"{backend.name} ({chip(backend)[1]})" for backend in snapshot.backends]
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(
        "circuits: line closed, half bar half-open, hatched open, tick failure, strip below: cooling down",
        fontsize=9,
        loc="left",
    )


def _draw_lane(axes: Axes, place: int, strip: Strip, view: View) -> None:
    for stretch in strip.stretches:
        axes.barh(
            place,
            (stretch.end - stretch.begin) / 60,
            left=(stretch.begin - view.now) / 60,
            height=_HEIGHTS.get(stretch.state, 0.08),
            color=STATE_COLOURS.get(stretch.state, "#6f6f6f"),
            hatch="////" if stretch.state == "open" else None,
            edgecolor="white" if stretch.state == "open" else "none",
        )
    cooling = [((begin - view.now) / 60, (end - begin) / 60) for begin, end in strip.cool_downs]
    axes.broken_barh(
        cooling, (place + 0.26, 0.1), color=STATE_COLOURS["half-open"], hatch="\\\\\\\\", edgecolor="black"
    )
    ticks = [(at - view.now) / 60 for at in strip.failures]
    axes.plot(ticks, [place + 0.42] * len(ticks), "|", color="black", markersize=6)


def _draw_curves(axes: Axes, snapshot: Snapshot, view: View) -> None:
    look = styles(backend.name for backend in snapshot.backends)
    for strip in view.strips:
        minutes = [(at - view.now) / 60 for at, _ in strip.tpm]
        rates = [math.nan if rate is None else rate for _, rate in strip.tpm]
        style = look[strip.name]
        dashes = (0, style.dash) if style.dash else "solid"
        axes.plot(
            minutes, rates, color=style.colour, linestyle=dashes, marker=style.marker, markevery=8, markersize=4,
            label=strip.name,
        )  # fmt: skip
    for threshold in {backend.tpm_threshold for backend in snapshot.backends if backend.tpm_threshold is not None}:
        axes.axhline(threshold, color="black", linestyle="--", linewidth=1)
    axes.set(xlim=(-view.span / 60, 0), ylabel="tokens per minute", xlabel="minutes before now")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _place: count(value))
    for text in axes.legend(loc="upper left", fontsize=8).get_texts():
        text.set_parse_math(False)


def _can_write_parquet() -> bool:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError:
        return False
    return True


def _parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, engine="pyarrow")
    return file.getvalue()


def _write_new(folder: Path, stem: str, ending: str, content: bytes) -> str:
    for number in itertools.count(1):
        name = f"{stem}{ending}" if number == 1 else f"{stem}_{number}{ending}"
        try:
            write_new(folder / name, content)
        except FileExistsError:
            continue
        return name
    raise AssertionError("the numbers do not end")
