"""What stands in each backend's row, in words and as pictures, for the page and for the file alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard import plot
from llx_magic.dashboard.axis import LogScale
from llx_magic.dashboard.svg import TO, WIDE, path, place, stretched, svg
from llx_magic.dashboard.view import Axis, Strip, View
from llx_magic.observe.status.standing import Standing, State
from llx_magic.units import below, duration, exact, number, percent

FEW = 6
"""So many backends or fewer have a row each, whatever they do."""

MOST_ROWS = 16
"""So many rows there are at most; the other backends are folded with the quiet ones."""

SMALL = 26
"""Height of the small pictures in pixels."""

_QUIET = frozenset({State.SPARE, State.NEW, State.UNPROVEN, State.ANSWERING})


class Figures(NamedTuple):
    """A backend's figures in words; one that is not known is empty."""

    rate: str
    """Of the visits that ended, the share that was answered."""
    answered: str
    seconds: str
    """Within which half, and 19 of 20, of the answered visits were answered."""
    tpm: str
    floor: str
    cost: str


@dataclass(frozen=True, slots=True)
class Row:
    """One backend: its place in the order, how it is, its past, and what its pictures are drawn on."""

    place: int
    standing: Standing
    strip: Strip
    axis: Axis
    seconds_scale: LogScale
    tokens_scale: LogScale

    @property
    def figures(self) -> Figures:
        """What stands beside the pictures."""
        return figures(self.standing.backend)

    @property
    def plot(self) -> str:
        """Every visit over time."""
        return plot.draw(self.strip, self.axis, self.seconds_scale)

    @property
    def seconds_picture(self) -> str:
        """From within what half to within what 19 of 20 of the visits were answered."""
        backend = self.standing.backend
        if backend.p50_latency is None or backend.p95_latency is None:
            return ""
        ends = (backend.p50_latency, backend.p95_latency)
        half, most = (round(4 + 92 * self.seconds_scale.share(value)) for value in ends)
        line = path("lg", ["M4 3V23M50 3V23M96 3V23"])
        marks = f"{line}{path('w', [f'M{half} 13H{most}'])}{path('u', [f'M{half} 13h0'])}"
        return svg("s", SMALL, "", stretched(SMALL, marks, 100))

    @property
    def tpm_picture(self) -> str:
        """The tokens per minute over time, with a gap where they are not known, and the floor dotted."""

        def height(rate: float) -> int:
            return round(SMALL - 3 - (SMALL - 6) * self.tokens_scale.share(max(1.0, rate)))

        drawn: list[str] = []
        last: tuple[int, int] | None = None
        for at, rate in self.strip.tpm:
            point = None if rate is None else (place(at, self.axis), height(rate))
            if point is not None:
                step = f" {point[0] - last[0]} {point[1] - last[1]}" if last else f"M{point[0]} {point[1]}l0 0"
                drawn.append(step)
            last = point
        floor = self.standing.backend.tpm_threshold
        floor_line = [] if floor is None else [f"M0 {height(floor)}H{WIDE}"]
        marks = path("lt", floor_line) + path("ln", drawn)
        return svg("s", SMALL, "", stretched(SMALL, marks)) if marks else ""


class Rows(NamedTuple):
    """The rows in priority order, and the backends that are folded into one line, each with its place."""

    shown: tuple[Row, ...]
    folded: tuple[tuple[int, Standing], ...]


def rows_of(snapshot: Snapshot, view: View, standings: Sequence[Standing]) -> Rows:
    """Return what stands in each row; the seconds and the tokens of all are on one scale each."""
    visits = [each for strip in view.strips for each in strip.visits if each.kind == "answered"]
    tails = [each.p95_latency for each in snapshot.backends if each.p95_latency]
    seconds = LogScale([*(each.low for each in visits), *(each.high for each in visits), *tails])
    rates = [rate for strip in view.strips for _, rate in strip.tpm if rate]
    tokens = LogScale([max(1.0, rate) for rate in [*rates, *(it.tpm_threshold or 1.0 for it in snapshot.backends)]])
    shown = _shown(standings, view)
    rows = [
        Row(place, standing, strip, view.axis, seconds, tokens)
        for place, (standing, strip) in enumerate(zip(standings, view.strips, strict=True), 1)
        if place in shown
    ]
    folded = tuple((place, each) for place, each in enumerate(standings, 1) if place not in shown)
    return Rows(tuple(rows), folded)


def figures(backend: BackendSnapshot) -> Figures:
    """Return a backend's figures in words."""
    ended, rate = backend.successes + backend.failures, backend.success_rate
    half, most = duration(backend.p50_latency), duration(backend.p95_latency)
    seconds = "" if backend.p50_latency is None else f"{half}, both" if half == most else f"{half} {TO} {most}"
    tpm, floor = backend.tpm, backend.tpm_threshold
    shown = backend.shown_tpm if ended or floor is not None else None
    tokens = "" if shown is None else number(round(shown) if shown >= 10 else shown)
    if tpm is not None and floor is not None and tpm < floor:
        tokens = below(tpm, floor, ",")
    return Figures(
        percent(rate) if ended else "",
        f"{number(backend.successes)} of {number(ended)}" if ended else "no visit yet",
        seconds,
        tokens,
        "" if floor is None else f"floor {exact(floor, ',')}",
        "" if backend.cost is None else number(backend.cost, 3),
    )


def in_short(folded: Sequence[tuple[int, Standing]]) -> str:
    """Return how the backends are that are folded: ``34 more: 30 spare, 4 not asked yet``, ``10 more, all spare``."""
    counts = Counter(str(each.state) for _, each in folded)
    if len(counts) == 1:
        return f"{number(len(folded))} more, {'all ' if len(folded) > 1 else ''}{next(iter(counts))}"
    return f"{number(len(folded))} more: {', '.join(f'{number(count)} {state}' for state, count in counts.items())}"


def _shown(standings: Sequence[Standing], view: View) -> set[int]:
    """Return the places of the backends that have a row: of many, the first, those not well, those that are asked."""
    if len(standings) <= FEW:
        return set(range(1, len(standings) + 1))
    placed = list(enumerate(zip(standings, view.strips, strict=True), 1))
    telling = [place for place, (standing, _) in placed if place == 1 or standing.state not in _QUIET]
    asked = [place for place, (standing, strip) in placed if strip.visits or standing.backend.in_flight]
    return set(list(dict.fromkeys([*telling, *asked]))[:MOST_ROWS])
