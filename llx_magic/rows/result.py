"""The result of a map: the user's own table with the replies beside it, and what there is to say of the whole."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from llx_magic.observe.report import AS_TABLES, AS_WRITTEN, html_table
from llx_magic.rows.layout import ABOUT, SAMPLE, Layout
from llx_magic.rows.outcome import Outcomes, Spent
from llx_magic.rows.rows import Column, Source
from llx_magic.rows.shown import Shown
from llx_magic.text.screen import one_line, printable
from llx_magic.units import duration, money, number, plural

_SHOWN_ROWS = 5
_SHOWN_ERRORS = 3


def frame_of(source: Source, outcomes: Outcomes, layout: Layout, places: Sequence[int] | None = None) -> object:
    """Return the data as a table of its own kind, with the replies behind its columns, and what came of each row.

    ``places`` are the rows to be in it, None for all. A column has the same type whatever came, also where all of it is
    missing. Where an iterator brought, after its first row, a name that is one of the new ones, these are put apart.
    """
    while layout.doubled(source.columns, source.samples):
        layout = Layout(layout.shape, f"new_{layout.prefix}")
    chosen = range(source.reached) if places is None else places
    values, told = layout.values(outcomes.replies(chosen)), outcomes.columns(chosen)
    columns = {
        name: Column(typed.kind, column, typed)
        for (name, typed), column in zip(layout.replies.items(), values, strict=True)
    }
    samples = source.samples
    if samples > 1:
        columns[f"{layout.prefix}{SAMPLE}"] = Column("Int64", [place % samples for place in chosen])
    columns |= {f"{layout.prefix}{name}": Column(kind, told[name]) for name, kind in ABOUT.items()}
    of_data = None if places is None and samples == 1 else [place // samples for place in chosen]
    return source.joined(columns, of_data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of all rows, in numbers; as text, one line.

    ``spent`` are the tokens and the cost of this run: nothing was paid for what was ``stored``
    and for what ``shared`` the reply of another row. Of those ``not_asked`` some were tried, but ``in_vain`` until the
    run ended. ``stopped`` says why it ended before all rows were done. ``errors`` are the most frequent ones, and how
    many rows have each.
    """

    rows: int
    answered: int
    stored: int
    shared: int
    failed: int
    not_asked: int
    in_vain: int
    seconds: float
    spent: Spent
    cost_is_estimate: bool
    errors: tuple[tuple[str, int], ...] = ()
    stopped: str = ""
    note: str = ""

    def __str__(self) -> str:
        """One line."""
        return " · ".join(self.facts())

    @property
    def replied(self) -> int:
        """How many rows have a reply, new or not."""
        return self.answered + self.stored + self.shared

    def facts(self) -> Iterator[str]:
        """Yield what there is to say, the most important first."""
        yield plural(self.rows, "row")
        counts = {
            "answered": self.answered,
            "from the store": self.stored,
            "with the same prompt": self.shared,
            "failed": self.failed,
            "not asked": self.not_asked,
        }
        told = [f"{number(count)} {what}" for what, count in counts.items() if count]
        if self.in_vain:
            some = "" if self.in_vain == self.not_asked else f"{number(self.in_vain)} "
            told[-1] += f" ({some}tried in vain)"
        if told:
            yield ", ".join(told)
        if self.stopped:
            yield f"stopped: {one_line(self.stopped)}"
        yield duration(self.seconds)
        spent = self.spent
        if spent.tokens_in or spent.tokens_out:
            yield f"{number(spent.tokens_in)} + {number(spent.tokens_out)} tokens"
        if spent.cost is not None:
            yield money(spent.cost, is_estimate=self.cost_is_estimate)
        if self.note:
            yield self.note


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: after how many seconds, why before its end where it was ``stopped``, and how to run it again.

    ``again`` asks what failed and what was not asked, and gives the result of all rows.
    """

    seconds: float
    again: Callable[[], MapResult]
    stopped: str = ""
    cost_is_estimate: bool = False
    notes: tuple[str, ...] = ()
    """What else there is to say, such as how many replies were cut."""


class MapResult:
    """What a map over rows gave: the table, and how it went. It is shown as its summary and its first rows.

    ``outcomes`` has what came of each row by its place; of a row that failed for what it replied, also that text.
    """

    def __init__(self, source: Source, outcomes: Outcomes, layout: Layout, ending: Ending) -> None:
        self.outcomes = outcomes
        self._source = source
        self._layout = layout
        self._ending = ending

    @cached_property
    def frame(self) -> object:
        """The data, of its own kind, with its own index and columns, then the replies, then the columns ``llx_…``.

        A list, a dictionary, an iterator and a file give a DataFrame of pandas.
        """
        return frame_of(self._source, self.outcomes, self._layout)

    @property
    def failed(self) -> object:
        """The rows of the table that failed; ``llx_error`` says why."""
        return frame_of(self._source, self.outcomes, self._layout, self.outcomes.places("failed"))

    @property
    def summary(self) -> Summary:
        """What came of all rows, in numbers and as one line."""
        told, ending = self.outcomes, self._ending
        rows = self._source.reached
        counts = {status: told.count(status) for status in ("answered", "stored", "shared", "failed")}
        errors = Counter(error for error in told.errors if error)
        return Summary(
            rows=rows,
            answered=counts["answered"],
            stored=counts["stored"],
            shared=counts["shared"],
            failed=counts["failed"],
            not_asked=rows - sum(counts.values()),
            in_vain=sum(1 for error in told.errors if error) - counts["failed"],
            seconds=ending.seconds,
            spent=told.spent,
            cost_is_estimate=ending.cost_is_estimate,
            errors=tuple(errors.most_common(_SHOWN_ERRORS)),
            stopped=ending.stopped,
            note=" · ".join(filter(None, (self._source.note, *ending.notes))),
        )

    def retry(self) -> MapResult:
        """Ask what failed and what was not asked, and return the result of all rows; what is answered stays."""
        return self._ending.again()

    def __repr__(self) -> str:
        """The summary, the most frequent errors, and the first rows."""
        return "\n".join([str(self.summary), *self._remarks(), "", self._first().as_text()])

    def _repr_html_(self) -> str:
        """The same as a table; every text in it is escaped, and the front end typesets none of it."""
        first = self._first()
        table = html_table(first.names, first.rows, numbers=first.numbers)
        above, *below = (html.escape(printable(line)) for line in (str(self.summary), *self._remarks()))
        told = f"<div>{above}</div>{table}" + (f"<div>{'<br>'.join(below)}</div>" if below else "")
        return f'<div {AS_WRITTEN} style="{AS_TABLES};overflow-wrap:anywhere">{told}</div>'

    def _first(self) -> Shown:
        places = range(min(self._source.reached, _SHOWN_ROWS))
        return Shown.of(frame_of(self._source, self.outcomes, self._layout, places), self._layout.prefix)

    def _remarks(self) -> list[str]:
        summary = self.summary
        cut = (
            [f"the first {_SHOWN_ROWS} of {number(summary.rows)} rows are shown"] if summary.rows > _SHOWN_ROWS else []
        )
        return [*cut, *(f"{plural(count, 'row')}: {one_line(error)}" for error, count in summary.errors)]
