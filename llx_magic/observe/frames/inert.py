r"""DataFrames that hold text from outside: shown and written so that nothing in them acts.

What a server calls its model, or says in an error, is in these frames. pandas lets a front end typeset a frame's HTML,
where ``$\href{…}`` makes a link of it, and a spreadsheet calculates what begins with ``=`` in a CSV file.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

NOT_TYPESET = "tex2jax_ignore mathjax_ignore"
"""The classes by which MathJax is told to leave an element alone, in its second and third version."""

_CALCULATES = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that spreadsheets take for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""


def _writing(name: str) -> Callable[..., object]:
    """Return the method of pandas that writes to a file, of a table in which nothing is calculated."""

    def write(self: pd.DataFrame | pd.Series, *args: object, **kwargs: object) -> object:
        return getattr(without_formulas(self.to_frame() if isinstance(self, pd.Series) else self), name)(
            *args, **kwargs
        )

    return functools.wraps(getattr(pd.DataFrame, name))(write)


def _staying(owner: type, name: str) -> Callable[..., object]:
    """Return the method of pandas, which makes something plain by itself, of something inert again."""
    method = getattr(owner, name)

    def make(self: pd.DataFrame | pd.Series, *args: object, **kwargs: object) -> object:
        made = method(self, *args, **kwargs)
        return InertFrame(made) if isinstance(made, pd.DataFrame) else InertSeries(made)

    return functools.wraps(method)(make)


def _to_html(self: InertFrame, *args: object, classes: str | Sequence[str] = (), **kwargs: object) -> object:
    """Write HTML as pandas does, with the classes that keep it from being typeset."""
    given = classes.split() if isinstance(classes, str) else classes
    write: Callable[..., object] = pd.DataFrame.to_html
    return write(self, *args, classes=[*given, *NOT_TYPESET.split()], **kwargs)


class InertFrame(pd.DataFrame):
    """A DataFrame whose text does nothing.

    No front end typesets its HTML. In CSV and Excel files made of it a quotation mark stands before each text that
    would be calculated. What is made of it is inert too. ``pandas.DataFrame(frame)`` is the same table without this.
    """

    # How pandas is subclassed: https://pandas.pydata.org/docs/development/extending.html#override-constructor-properties
    # The annotations of pandas have overloads by the dozen, and call some methods final that are not.
    to_html = _to_html  # type: ignore[assignment]
    to_csv = _writing("to_csv")  # type: ignore[assignment]
    to_excel = _writing("to_excel")  # type: ignore[assignment,misc]
    describe = _staying(pd.DataFrame, "describe")  # type: ignore[assignment,misc]

    def __repr__(self) -> str:
        return repr(pd.DataFrame(self))  # which names the class of an empty one: "Empty DataFrame"

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return InertFrame

    @property
    def _constructor_sliced(self) -> Callable[..., pd.Series]:
        return InertSeries

    def _repr_html_(self) -> str | None:
        shown: str | None = super()._repr_html_()  # type: ignore[misc] # the annotations of pandas leave it out
        return None if shown is None else f'<div class="{NOT_TYPESET}">{shown}</div>'

    @property
    def style(self) -> Styler:
        """The styler of pandas, told the same, and to escape what it shows, which by itself it does not."""
        named = pd.DataFrame(self).rename_axis(index=_escaped, columns=_escaped)
        styler = named.style.set_table_attributes(f'class="{NOT_TYPESET}"').format(escape="html")
        return styler.format_index(escape="html").format_index(escape="html", axis="columns")


class InertSeries(pd.Series):
    """A column of an ``InertFrame``."""

    to_csv = _writing("to_csv")  # type: ignore[assignment]
    value_counts = _staying(pd.Series, "value_counts")  # type: ignore[assignment]

    @property
    def _constructor(self) -> Callable[..., pd.Series]:
        return InertSeries

    @property
    def _constructor_expanddim(self) -> Callable[..., pd.DataFrame]:
        return InertFrame


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the plain frame, a quotation mark before each text in it that begins as a formula."""
    plain = pd.DataFrame(frame).copy(deep=False)
    for place, kind in enumerate(plain.dtypes):
        if isinstance(kind, pd.CategoricalDtype):
            plain.isetitem(place, plain.iloc[:, place].cat.rename_categories(_harmless).array)
        elif isinstance(kind, pd.StringDtype) or pd.api.types.is_object_dtype(kind):
            plain.isetitem(place, plain.iloc[:, place].map(_harmless, na_action="ignore").array)
    return plain.rename(index=_harmless, columns=_harmless)


def _escaped(name: object) -> object:
    return html.escape(name) if isinstance(name, str) else name


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_CALCULATES) else value
