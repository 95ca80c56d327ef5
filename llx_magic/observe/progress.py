"""The progress of a run over rows in words, on one line and as HTML: what bars, files and cells show of it."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from unicodedata import east_asian_width

from llx_magic.core.circuits import DISABLED
from llx_magic.core.progress import MapProgress, Share
from llx_magic.observe.palette import styles
from llx_magic.observe.report import AS_TABLES, AS_WRITTEN
from llx_magic.text.screen import one_line
from llx_magic.units import countdown, money, number, percent

RATE_SECONDS, RATE_ROWS = 60.0, 10
"""Over how many seconds and rows, at least, the rate that is shown is taken: the present pace, not that of an hour ago.
Most services count by the minute, and less than that would see now a burst and now none.
"""

BAR_WIDTH, SHORTEST_BAR = 20, 4
"""How many characters the bar of a line has, and at least where it has to make room."""

_PARTS = ("█", "▏▎▍▌▋▊▉")
_ASCII_PARTS = ("#", "")
_CALM = ("closed", DISABLED)
_QUIET = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#767676))"
_CELL = "text-align:{side};padding:.15em .8em .15em 0;white-space:nowrap;border:0"
_COLUMNS = ("backend", "share", "rows", "in flight", "level", "circuit")
_WORKER_COLUMNS = ("worker", "share", "rows", "in flight", "takes", "state")
_TEXTS = ("backend", "circuit", "worker", "state")


class Pace:
    """Remembers the latest moments of a run, so that its rate is that of the last minute, or of the last rows."""

    def __init__(self) -> None:
        self._moments: deque[MapProgress] = deque()

    def take(self, progress: MapProgress) -> float | None:
        """Take a moment into account and return the rows asked and done in a second; None before the first."""
        moments = self._moments
        latest = moments[-1] if moments else None
        if latest is None or (progress.at - latest.at >= 1 and progress.asked > latest.asked):
            moments.append(progress)
            latest = progress
        while len(moments) > 1 and _is_telling(moments[1], latest):
            moments.popleft()
        if not _is_telling(moments[0], latest):
            return progress.rate_since(None)
        # Where rows come in bursts, the time since the latest one tells nothing until it is longer than any before.
        longest = max(later.at - earlier.at for earlier, later in pairwise(moments))
        silence = max(0.0, progress.at - latest.at - longest)
        return (latest.asked - moments[0].asked) / (latest.at - moments[0].at + silence)


def _is_telling(earlier: MapProgress, later: MapProgress) -> bool:
    """Return whether enough time and enough rows lie between two moments to tell a rate."""
    return earlier.at <= later.at - RATE_SECONDS and later.asked - earlier.asked >= RATE_ROWS


def facts(progress: MapProgress, rate: float | None) -> Iterator[str]:
    """Yield what there is to say of a run, the most important first."""
    done, total = number(progress.done), progress.total
    yield f"{done} rows" if total is None else f"{done} of {number(total)} rows"
    if waits := _waits(progress, rate):
        yield f"waiting for {waits}"
    left = progress.seconds_left_at(rate) if progress.is_telling else None
    if left:
        yield f"{countdown(left)} left"
    yield f"{number(progress.failed)} failed"
    if rate is not None:
        yield _rate_in_words(rate)
    if progress.stored:
        yield f"{number(progress.stored)} from the store"
    if progress.shared:
        yield f"{number(progress.shared)} with the same prompt"
    if progress.cost is not None:
        yield _cost_in_words(progress, progress.cost)
    if progress.tokens_in or progress.tokens_out:
        yield f"{number(progress.tokens_in)} + {number(progress.tokens_out)} tokens"


def shares(progress: MapProgress) -> Iterator[str]:
    """Yield what each backend has done and how it stands, with its circuit where that is not simply closed."""
    answered = sum(share.answered for share in progress.shares)
    for share in progress.shares:
        state = "" if share.state in _CALM else f", {_state(share)}"
        part = f" {percent(share.answered, answered)} of the replies" if answered else ""
        yield f"{one_line(share.name, 40)}{part}, {_places(share)} in flight{state}"


def by_workers(progress: MapProgress) -> Iterator[str]:
    """Yield what each worker of a cluster has done and how it stands, those first that have done most."""
    answered = sum(worker.answered for worker in progress.workers)
    for worker in sorted(progress.workers, key=lambda each: -each.answered):
        part = f"{percent(worker.answered, answered)} of the replies"
        yield f"{one_line(worker.name, 40)} {part}, {one_line(worker.state, 60)}"


def still_line(progress: MapProgress, rate: float | None) -> str:
    """Return all that is known on one line of any length, for a file."""
    return one_line(" · ".join([*facts(progress, rate), *shares(progress), *by_workers(progress)]), 2000)


def bar_line(progress: MapProgress, rate: float | None, width: int, *, ascii_only: bool = False) -> str:
    """Return a bar and as much of what is known as fits whole into ``width`` places of a terminal.

    How many rows are done is always told, and what is waited for: the bar is made shorter for them, and they are cut
    where they are wider than the terminal.
    """
    separator, mark = (" - ", "...") if ascii_only else (" · ", "…")
    told = [one_line(each) for each in (*facts(progress, rate), *shares(progress), *by_workers(progress))]
    first = 2 if _waits(progress, rate) else 1
    line = separator.join(told[:first])
    line = f"{_bar(progress, width - columns(line), ascii_only=ascii_only)}{line}"
    if columns(line) > width:
        return _cut(line, width, mark)
    for each in told[first:]:
        longer = f"{line}{separator}{each}"
        if columns(longer) > width:
            break
        line = longer
    return line


def _cut(text: str, width: int, mark: str) -> str:
    """Return the beginning of a text that is wider than so many places, and a mark that says so."""
    mark = mark[:width]
    while columns(text) > width - columns(mark):
        text = text[:-1]
    return f"{text}{mark}"


def columns(text: str) -> int:
    """Return how many places of a terminal a text takes: characters of East Asia take two.

    https://www.unicode.org/reports/tr11/
    """
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def as_html(progress: MapProgress, rate: float | None) -> str:
    """Return the bar, what is known below it, and a row for each backend; every text in it is escaped."""
    share = None if not progress.total else progress.done / progress.total
    told = [html.escape(one_line(each)) for each in facts(progress, rate)]
    if share is not None:
        told.insert(1, percent(share))
    above = (share is not None) + bool(_waits(progress, rate)) + 1
    first, told_below = " · ".join(told[:above]), " · ".join(told[above:])
    return (
        f'<div {AS_WRITTEN} style="{AS_TABLES};font-variant-numeric:tabular-nums">'
        f'<div style="display:flex;align-items:center;flex-wrap:wrap;gap:0 .8em">{_drawn(share)}'
        f"<span>{first}</span></div>"
        f'<p style="margin:0;{_QUIET}">{told_below}</p>{_tables(progress)}</div>'
    )


def _waits(progress: MapProgress, rate: float | None) -> str | None:
    """Return what the run waits for: what keeps any row from being sent, or the last rows that take so long."""
    if progress.waiting_for or not progress.is_overdue_at(rate) or progress.rest != progress.in_flight:
        return progress.waiting_for
    last = "the last row" if progress.rest == 1 else f"the last {number(progress.rest)} rows"
    there = " and ".join(one_line(share.name, 40) for share in progress.shares if share.in_flight)
    return f"{last}, at {there}" if there else last


def _bar(progress: MapProgress, places: int, *, ascii_only: bool) -> str:
    """Return the share that is done as a bar that fits there, or in figures alone where there is no room for one.

    Nothing where it is not known how many rows there are.
    """
    if not progress.total:
        return ""
    share = min(1.0, progress.done / progress.total)
    percents = f"{int(100 * share):3d}% "
    width = min(BAR_WIDTH, places - len(f"{percents}|| "))
    if width < SHORTEST_BAR:
        return percents if len(percents) <= places else ""
    whole, eighths = _ASCII_PARTS if ascii_only else _PARTS
    steps = len(eighths) + 1
    full, part = divmod(int(share * width * steps), steps)
    drawn = whole * full + (eighths[part - 1] if part else "")
    return f"{percents}|{drawn.ljust(width)}| "


def _rate_in_words(rate: float) -> str:
    return f"{number(rate, 2)} rows/s" if rate >= 1 else f"{number(60 * rate, 2)} rows/min"


def _cost_in_words(progress: MapProgress, cost: float) -> str:
    told = money(cost, is_estimate=progress.cost_is_estimate)
    expected = progress.cost_expected
    is_over = expected is None or progress.done == progress.total
    return told if is_over else f"{told}, {number(expected, 2)} at the end"


def _state(share: Share) -> str:
    """Return the circuit and the waits of a backend, with what it met last."""
    trouble = f": {share.trouble}" if share.trouble and share.state not in _CALM else ""
    return one_line(f"{share.state}{trouble}", 120)


def _places(share: Share) -> str:
    return number(share.in_flight) if share.level is None else f"{number(share.in_flight)} of {number(share.level)}"


def _drawn(share: float | None) -> str:
    """Return the bar of a cell: its length tells the share, which stands beside it in words."""
    if share is None:
        return ""
    there = percent(share)
    ink = "var(--jp-brand-color1,var(--vscode-progressBar-background,#0072b2))"
    groove = "var(--jp-border-color2,var(--vscode-widget-border,#d1d9e0))"
    return (
        f'<div role="progressbar" aria-valuenow="{int(100 * share)}" aria-valuemin="0" aria-valuemax="100" '
        f'style="width:16em;height:.6em;border-radius:.3em;overflow:hidden;background:{groove}">'
        f'<div style="width:{there};height:100%;background:{ink}"></div></div>'
    )


def _tables(progress: MapProgress) -> str:
    """Return a row for each backend, and below a row for each worker of a cluster, those first that did most."""
    drawn = styles(each.name for each in progress.shares)
    marks = {name: f'<i style="color:{style.colour};font-style:normal">▪</i> ' for name, style in drawn.items()}
    workers = sorted(progress.workers, key=lambda each: -each.answered)
    return _table(progress.shares, _COLUMNS, marks) + _table(workers, _WORKER_COLUMNS, {})


def _table(shares: Sequence[Share], columns: tuple[str, ...], marks: Mapping[str, str]) -> str:
    """Return a row for each share, with its mark before its name."""
    if not shares:
        return ""
    answered = sum(share.answered for share in shares)
    head = "".join(f'<th style="{_QUIET};font-weight:400;{_cell(name)}">{name}</th>' for name in columns)
    rows = []
    for share in shares:
        told = (
            marks.get(share.name, "") + html.escape(one_line(share.name, 40)),
            percent(share.answered, answered) if answered else "",
            number(share.answered),
            number(share.in_flight),
            "" if share.level is None else number(share.level),
            html.escape(_state(share)),
        )
        cells = zip(columns, told, strict=True)
        rows.append("".join(f'<td style="{_cell(name)}">{each}</td>' for name, each in cells))
    body = "".join(f'<tr style="background:none">{row}</tr>' for row in rows)
    table = f'<table style="border-collapse:collapse;margin:.3em 0 0"><tr>{head}</tr>{body}</table>'
    return f'<div style="overflow-x:auto">{table}</div>'


def _cell(name: str) -> str:
    return _CELL.format(side="left" if name in _TEXTS else "right")
