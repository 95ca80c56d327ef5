r"""DataFrames that hold text from outside: shown and written so that nothing in them acts.

What a server calls its model, or says in an error, is in these frames. pandas lets a front end typeset a frame's HTML,
where ``$\href{…}`` makes a link of it, and a spreadsheet calculates what begins with ``=`` in a CSV file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

NOT_TYPESET = "tex2jax_ignore mathjax_ignore"
"""The classes by which MathJax is told to leave an element alone, in its second and third version."""

_CALCULATES = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that spreadsheets take for a formula (OWASP, "CSV Injection")."""


class InertFrame(pd.DataFrame):
    """A DataFrame whose text does nothing.

    No front end typesets its HTML. In CSV and Excel files made of it a quotation mark stands before each text that
    would be calculated. What is made of it is inert too, but for what pandas makes a plain frame of by itself.
    ``pandas.DataFrame(frame)`` is the same table without this.
    """

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return InertFrame

    @property
    def _constructor_sliced(self) -> Callable[..., pd.Series]:
        return InertSeries

    def _repr_html_(self) -> str | None:
        shown: str | None = super()._repr_html_()  # type: ignore[misc] # the annotations of pandas leave it out
        return None if shown is None else f'<div class="{NOT_TYPESET}">{shown}</div>'

    def to_html(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as pandas has it
        """Write HTML as pandas does, with the classes that keep it from being typeset."""
        given = kwargs.pop("classes", None) or []
        classes = given.split() if isinstance(given, str) else list(given)
        return super().to_html(*args, classes=[*classes, *NOT_TYPESET.split()], **kwargs)

    @property
    def style(self) -> Styler:
        """The styler of pandas, told the same."""
        return super().style.set_table_attributes(f'class="{NOT_TYPESET}"')

    def to_csv(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as pandas has it
        """Write CSV as pandas does, with a quotation mark before each text that a spreadsheet would calculate."""
        return without_formulas(self).to_csv(*args, **kwargs)

    def to_excel(self, *args: Any, **kwargs: Any) -> None:  # type: ignore[misc] # noqa: ANN401 - final for type checkers only
        """Write Excel's form as pandas does, with a quotation mark before each text that it would calculate."""
        without_formulas(self).to_excel(*args, **kwargs)

    def describe(self, *args: Any, **kwargs: Any) -> InertFrame:  # type: ignore[misc] # noqa: ANN401 - as above
        """Describe the columns as pandas does, which makes a plain frame of them."""
        return InertFrame(super().describe(*args, **kwargs))


class InertSeries(pd.Series):
    """A column of an ``InertFrame``."""

    @property
    def _constructor(self) -> Callable[..., pd.Series]:
        return InertSeries

    @property
    def _constructor_expanddim(self) -> Callable[..., pd.DataFrame]:
        return InertFrame

    def value_counts(self, *args: Any, **kwargs: Any) -> InertSeries:  # noqa: ANN401 - as pandas has it
        """Count the values as pandas does, which makes a plain column of them."""
        return InertSeries(super().value_counts(*args, **kwargs))

    def to_csv(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as pandas has it
        """Write CSV as ``InertFrame`` does."""
        return self.to_frame().to_csv(*args, **kwargs)


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the plain frame, a quotation mark before each text in it that begins as a formula."""
    plain = pd.DataFrame(frame).copy(deep=False)
    for place, kind in enumerate(plain.dtypes):
        if isinstance(kind, pd.CategoricalDtype):
            plain.isetitem(place, plain.iloc[:, place].cat.rename_categories(_harmless).array)
        elif isinstance(kind, pd.StringDtype) or pd.api.types.is_object_dtype(kind):
            plain.isetitem(place, plain.iloc[:, place].map(_harmless, na_action="ignore").array)
    return plain.rename(index=_harmless, columns=_harmless)


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_CALCULATES) else value
