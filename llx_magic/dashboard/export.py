"""What a dashboard shows, as files: a picture in two formats, and its tables."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.files.newfiles import write_new

if TYPE_CHECKING:
    import pandas as pd

Plot = Callable[..., object]
"""A method of a load balancer that draws on the Axes given as ``ax``."""


def export(
    folder: Path, stem: str, pictures: Mapping[str, bytes], tables: Mapping[str, pd.DataFrame]
) -> tuple[list[str], bool]:
    """Write pictures and tables into a folder; return the files' names, and whether Parquet could be written.

    ``pictures`` maps endings to contents, ``tables`` maps what is added to ``stem`` to frames. No file is ever
    replaced: a number is added to ``stem`` where a name is taken. Parquet needs a pyarrow that works.

    Raises:
        OSError: where the folder cannot be written to.
    """
    contents = dict(pictures)
    parquet = True
    for name, frame in tables.items():
        contents[f"-{name}.csv"] = frame.to_csv().encode()
        try:
            contents[f"-{name}.parquet"] = frame.to_parquet(engine="pyarrow")
        except ImportError:
            parquet = False
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    return [_write_new(folder, safe, ending, content) for ending, content in contents.items()], parquet


def png(title: str, plots: Sequence[Plot]) -> bytes:
    """Return the plots below each other as a PNG file."""
    from llx_magic.observe.plots.figure import ShownFigure

    figure = ShownFigure(figsize=(9.0, 3.4 * len(plots)), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False, fontsize="medium")
    for plot, axes in zip(plots, figure.subplots(len(plots), 1), strict=True):
        plot(ax=axes)
    file = io.BytesIO()
    figure.savefig(file, format="png")
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
