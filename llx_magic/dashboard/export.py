"""What a dashboard shows, as files: its picture in two formats, its words as Markdown, plots, and its tables."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.files.newfiles import write_new
from llx_magic.install import install_line
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    import pandas as pd

Plot = Callable[..., object]
"""A method of a load balancer that draws on the Axes given as ``ax``."""

Make = Callable[[], bytes]
"""Makes a file's content."""


class Exported(NamedTuple):
    """The folder, the names of the files that were written, and those that were not, each with why."""

    folder: Path
    written: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The same in one line."""
        reasons: dict[str, list[str]] = {}
        for ending, why in self.missing:
            reasons.setdefault(why, []).append(ending)
        missing = "; ".join(f"{', '.join(endings)} not written: {why}" for why, endings in reasons.items())
        written = f"written into {self.folder}: {', '.join(self.written)}" if self.written else ""
        return "; ".join(filter(None, [written, missing])) or "there is nothing to write"


def export(folder: Path, stem: str, makes: Mapping[str, Make]) -> Exported:
    """Write files into a folder, ``stem`` with each of the endings; what one of them hinders hinders no other.

    No file is ever replaced: a number is added to ``stem`` where a name is taken.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", stem)
    written: list[str] = []
    missing: list[tuple[str, str]] = []
    for ending, make in makes.items():
        try:
            written.append(_write_new(folder, safe, ending, make()))
        except OSError as problem:
            missing.append((ending, f"{folder}: {problem.strerror or problem}"))
        except ImportError as problem:
            missing.append((ending, one_line(str(problem), 200)))
        except Exception as problem:  # noqa: BLE001 - a fault in one picture must not cost the data
            missing.append((ending, one_line(f"{type(problem).__name__}: {problem}", 200)))
    return Exported(folder, tuple(written), tuple(missing))


def tables(frames: Mapping[str, Callable[[], pd.DataFrame]]) -> dict[str, Make]:
    """Return what makes CSV and Parquet of frames, by the endings of the files."""
    makes: dict[str, Make] = {}
    for name, frame in frames.items():
        makes[f"-{name}.csv"] = partial(_csv, frame)
        makes[f"-{name}.parquet"] = partial(_parquet, frame)
    return makes


def picture(svg: str) -> bytes:
    """Return a picture as a PNG file, twice as large, so that it is sharp on every screen.

    Raises:
        ImportError: resvg-py is not installed; says how it is.
    """
    try:
        import resvg_py
    except ImportError:
        raise ImportError(f"a PNG of the picture needs resvg-py; install it: {install_line('png')}") from None
    from llx_magic.observe.plots.figure import FONT, fonts

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=2, font_dirs=[fonts()], sans_serif_family=FONT))


def plots(title: str, draws: Sequence[Plot]) -> bytes:
    """Return plots below each other as a PNG file."""
    from llx_magic.observe.plots.figure import ShownFigure

    figure = ShownFigure(figsize=(9.0, 3.4 * len(draws)), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False, fontsize="medium")
    for draw, axes in zip(draws, figure.subplots(len(draws), 1), strict=True):
        draw(ax=axes)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _csv(frame: Callable[[], pd.DataFrame]) -> bytes:
    return frame().to_csv().encode()


def _parquet(frame: Callable[[], pd.DataFrame]) -> bytes:
    try:
        content: bytes = frame().to_parquet(engine="pyarrow")
    except ImportError:
        raise ImportError(f"Parquet needs pyarrow; install it: {install_line('parquet')}") from None
    return content


def _write_new(folder: Path, stem: str, ending: str, content: bytes) -> str:
    for number in itertools.count(1):
        name = f"{stem}{ending}" if number == 1 else f"{stem}_{number}{ending}"
        try:
            write_new(folder / name, content)
        except FileExistsError:
            continue
        return name
    raise AssertionError("the numbers do not end")
