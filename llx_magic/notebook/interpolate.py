"""The notebook's values in a prompt: ``{{ expression }}`` and nothing else is special.

Where an expression begins and ends is found here, and Jinja2 is given the expressions alone: so whatever else means
something in a Jinja2 template (``{% %}``, ``{# #}``, line statements) and every single brace is plain text.
"""

from __future__ import annotations

import builtins
import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Protocol, cast

from llx_magic.core.text import one_line
from llx_magic.errors import UsageProblem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from jinja2.environment import TemplateExpression
    from jinja2.sandbox import SandboxedEnvironment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas._typing import S1
    from PIL.Image import Image

MAX_COLUMNS = 30
"""Columns of a DataFrame that are shown; a note says when there are more."""

MAX_CELL = 200
"""Characters of one cell of a table."""

MAX_ARRAY = 4_000
"""Characters of an array's text."""

_BUILTINS = (
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range", "repr",
    "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
)  # fmt: skip

_MARK = re.compile(r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"|[(\[{}\])]""", re.DOTALL)
_RAW = "; --raw sends the text as it is"
_NOT_SENT = " (nothing was sent)"


class _Subscriptable(Protocol):
    def __getitem__(self, key: object) -> object: ...


class InterpolationError(UsageProblem):
    """An expression of a prompt cannot be read or has no value; nothing was sent."""


def interpolate(text: str, namespace: Mapping[str, object], table_rows: int = 20) -> str:
    """Return the text with each ``{{ expression }}`` replaced by its value in the namespace.

    Expressions are Jinja2's, sandboxed and strict, with its filters and Python's harmless built-in functions. All of
    them are read before the first is evaluated, and what they render is not looked at again. A table shows at most
    ``table_rows`` rows (at least 0), and says so. Text without ``{{`` is returned as it is.

    Raises InterpolationError for the first expression that cannot be read, uses an undefined name or fails.
    """
    if "{{" not in text:
        return text
    programs = [(start, end, _compiled(text, start, end)) for start, end in _spans(text)]
    parts: list[str] = []
    at = 0
    for start, end, program in programs:
        value = _evaluated(text[start + 2 : end - 2], program, namespace, table_rows)
        parts += [text[at:start], _apart(value, text, start, end) if isinstance(value, _Table) else value]
        at = end
    return "".join([*parts, text[at:]])


class _Table(str):
    """A value's text that stays a table only where nothing else stands on its lines."""

    __slots__ = ()


def _apart(table: _Table, text: str, start: int, end: int) -> str:
    """Return the table with a blank line to whatever stands on the line before and after it."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after = text[end:].partition("\n")[0]
    return ("\n\n" if before.strip() else "") + table + ("\n\n" if after.strip() else "")


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each expression starts and ends, its braces included."""
    start = text.find("{{")
    while start >= 0:
        end = _end(text, start)
        if end is None:
            raise _unreadable(text, start, "'{{' has no '}}' that closes it")
        yield start, end
        start = text.find("{{", end)


def _end(text: str, start: int) -> int | None:
    """Return the position behind the ``}}`` that is in no string and no bracket."""
    depth = 0
    for mark in _MARK.finditer(text, start + 2):
        if mark[0] in "([{":
            depth += 1
        elif mark[0] in ")]}":
            if not depth and text.startswith("}}", mark.start()):
                return mark.start() + 2
            depth = max(0, depth - 1)
    return None


def _compiled(text: str, start: int, end: int) -> TemplateExpression:
    from jinja2 import TemplateSyntaxError

    source = text[start + 2 : end - 2]
    if source.startswith("-"):  # to Jinja2 this trims blanks, to others it is a minus: guessing would change a value
        raise _unreadable(text, start, "'{{-' can be read in two ways: write '{{ -' for a minus")
    try:
        return _environment().compile_expression(source, undefined_to_none=False)
    except TemplateSyntaxError as error:
        problem = (error.message or "").removesuffix(".")
    except SyntaxError as error:  # Jinja2 read it, but wrote Python that is none, as for x[1:2, 0]
        problem = error.msg
    except Exception as error:  # noqa: BLE001 - nested too deeply, a number of too many digits, …
        problem = _said(error)
    raise _unreadable(text, start, f"{_shown(source)} is not an expression: {one_line(problem, 100)}")


def _unreadable(text: str, start: int, problem: str) -> InterpolationError:
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return InterpolationError(f"line {line}, column {column}: {problem}{_RAW}{_NOT_SENT}")


def _evaluated(source: str, program: TemplateExpression, namespace: Mapping[str, object], rows: int) -> str:
    from jinja2.exceptions import SecurityError, UndefinedError

    try:
        return _rendered(program(namespace), rows)
    except UndefinedError as error:
        problem = _undefined(source, error, namespace)
    except SecurityError as error:
        problem = _said(error, without_class=True).removesuffix(".")
    except Exception as error:  # noqa: BLE001 - the notebook's own code may raise anything
        problem = _said(error)
    raise InterpolationError(one_line(f"{_shown(source)}: {problem}", 300 - len(_NOT_SENT)) + _NOT_SENT)


def _undefined(source: str, error: Exception, namespace: Mapping[str, object]) -> str:
    """Say which name is not defined and what may have been meant, or which attribute or key is not there."""
    said = _said(error, without_class=True)
    name = next((word for word in re.findall(r"\w+", source) if said == f"'{word}' is undefined"), None)
    if name is None:
        return said
    known = sorted(known for known in namespace if not known.startswith("_"))
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"'{name}' is not defined" + (f"; did you mean {nearest[0]}?" if nearest else _RAW)


def _said(error: Exception, *, without_class: bool = False) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of the notebook's own may fail to describe itself
        text = ""
    name = type(error).__name__
    return (text or name) if without_class else f"{name}: {text}" if text else name


def _shown(source: str) -> str:
    return f"{{{{ {one_line(source, 80)} }}}}"


@functools.cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    class Undefined(StrictUndefined):
        """Fails inside a list or dict too, which show their items by repr()."""

        __slots__ = ()
        __repr__ = StrictUndefined._fail_with_undefined_error  # noqa: SLF001 - documented for subclasses

    class Environment(SandboxedEnvironment):
        """Takes no missing key for a method of that name, and leaves str.format no way around the sandbox."""

        def getitem(self, obj: object, argument: object) -> object:
            try:
                return cast("_Subscriptable", obj)[argument]
            except LookupError:
                return self.undefined(f"{type(obj).__name__} has no item {argument!r}", obj, str(argument))
            except (AttributeError, TypeError):  # filters such as map(attribute="name") read objects this way
                return super().getitem(obj, argument)

        def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
            if isinstance(obj, type) and issubclass(obj, str) and attr in {"format", "format_map"}:
                return False
            return super().is_safe_attribute(obj, attr, value)

    environment = Environment(undefined=Undefined)
    environment.globals.clear()
    environment.globals.update((name, getattr(builtins, name)) for name in _BUILTINS)
    environment.filters["tojson"] = _as_json  # Jinja2's own is for HTML: it writes an apostrophe as \u0027
    return environment


def _as_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _rendered(value: object, rows: int) -> str:
    """Return the value as a prompt shows it: by what its class or a base of it is called, else by str()."""
    for base in type(value).__mro__:
        package = str(base.__module__).partition(".")[0]
        if render := _RENDERERS.get(f"{package}.{base.__name__}"):
            return render(value, rows)
    return str(value)


def _frame(frame: pd.DataFrame, rows: int) -> str:
    height, width = frame.shape
    if not height and not width:
        return "(empty DataFrame: no rows, no columns)"
    shown = frame.iloc[:rows, :MAX_COLUMNS]
    header = [*_index_names(frame.index), *shown.columns]
    body = ([*_levels(frame.index, label), *cells] for label, *cells in shown.itertuples(name=None))
    return _table(header, body, [_cut(rows, height, "rows"), _cut(MAX_COLUMNS, width, "columns")])


def _series(series: pd.Series[S1], rows: int) -> str:
    shown = series.iloc[:rows]
    header = [*_index_names(series.index), "value" if series.name is None else series.name]
    body = ([*_levels(series.index, label), cell] for label, cell in zip(shown.index, shown, strict=True))
    return _table(header, body, [_cut(rows, len(series), "rows")])


def _index(index: pd.Index[S1], rows: int) -> str:
    items = ", ".join(repr(item) if isinstance(item, str | tuple) else _plain(item) for item in index[:rows])
    cut = _cut(rows, len(index), "values")
    return f"[{items}]" + (f" ({cut})" if cut else "")


def _index_names(index: pd.Index[S1]) -> list[object]:
    return ["" if name is None else name for name in index.names]


def _levels(index: pd.Index[S1], label: object) -> Sequence[object]:
    return cast("Sequence[object]", label) if index.nlevels > 1 else (label,)


def _table(header: Sequence[object], body: Iterable[Sequence[object]], cuts: Iterable[str]) -> _Table:
    """Return a GitHub Markdown table, with a last line that says what was left out."""
    lines = [_row(header), _row(["---"] * len(header)), *map(_row, body)]
    notes = list(filter(None, cuts if len(lines) > 2 else chain(cuts, ["no rows shown"])))
    return _Table("\n".join([*lines, f"({', '.join(notes)})"] if notes else lines))


def _cut(shown: int, total: int, what: str) -> str:
    return f"first {shown:,} of {total:,} {what}" if total > shown else ""


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    """Return the value on one line, with no ``|`` that would end the cell."""
    text = " / ".join(map(_plain, value)) if isinstance(value, tuple) else _plain(value)
    text = text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
    # A backslash before the bar would escape the escape, so it is doubled there, and only there.
    return re.sub(r"(\\*)\|", r"\1\1\\|", "<br>".join(text.splitlines()))


def _plain(value: object) -> str:
    """Return str(), but floats with the digits that were meant: 0.3 for 0.1 + 0.2."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.12g}"
    return f"{text}.0" if text.lstrip("-").isdigit() else "NaN" if text == "nan" else text


def _array(array: npt.NDArray[np.generic], _rows: int) -> str:
    text = str(array)
    text = text if len(text) <= MAX_ARRAY else text[: MAX_ARRAY - 1] + "…"
    gap = "\n" if "\n" in text else " "
    return f"array of shape {array.shape}, dtype {array.dtype}:{gap}{text}"


def _figure(figure: Figure, rows: int) -> str:
    title = one_line(figure.get_suptitle())
    head = f"figure with {_count(len(figure.axes), 'plot')}" + (f', title "{title}"' if title else "")
    return "\n".join([head, *(f"- {_axes(axes, rows)}" for axes in figure.axes)])


def _axes(axes: Axes, _rows: int) -> str:
    """Say what a reader of the plot reads: titles, axes, legend, and how much is drawn."""
    titles = [axes.get_title(loc=where) for where in ("left", "center", "right")]
    legend = axes.get_legend()
    entries = [entry.get_text() for entry in legend.get_texts()] if legend else axes.get_legend_handles_labels()[1]
    drawn = ((axes.lines, "line"), (axes.patches, "patch"), (axes.collections, "collection"), (axes.images, "image"))
    facts = [
        "plot" + "".join(f' "{one_line(title)}"' for title in titles if title),
        _axis("x", axes.get_xlabel(), axes.get_xlim()),
        _axis("y", axes.get_ylabel(), axes.get_ylim()),
        ", ".join(_count(len(artists), what) for artists, what in drawn if len(artists)) or "nothing drawn",
        f"legend: {', '.join(map(one_line, entries))}" if entries else "",
    ]
    return "; ".join(filter(None, facts))


def _axis(name: str, label: str, limits: tuple[float, float]) -> str:
    return f"{name} axis" + (f' "{one_line(label)}"' if label else "") + f" from {limits[0]:.6g} to {limits[1]:.6g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "es" if what.endswith("ch") else "s")


def _image(image: Image, _rows: int) -> str:
    return f"(image of {image.width} x {image.height} pixels, mode {image.mode})"


# By name, so that nothing heavy is imported to learn that a value is none of these.
_RENDERERS: dict[str, Callable[..., str]] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "pandas.Index": _index,
    "numpy.ndarray": _array,
    "matplotlib.FigureBase": _figure,
    "matplotlib.Axes": _axes,
    "PIL.Image": _image,
}
