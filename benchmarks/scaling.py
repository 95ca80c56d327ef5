"""How what a request costs grows: with the backends, the history, the requests at a time and the length of the texts.

Each curve is the processor's time of this process per unit (a request, a token, a message …) at several sizes that take
their turns in each round, so that whatever else the machine does falls on all of them alike. Its growth is the cost per
unit at the largest size over that at a middle one, in the median of the rounds: 1 where the work grows in proportion,
less where what is paid once weighs less. A growth above `MARGIN` is worse than linear, and the benchmark fails; the
margin is what the processor's caches may take of it. Tokens and messages go through the real HTTP backend to a server
that is a process of its own.

The time of Python's garbage collector is shown beside the work and not judged. It walks through all that is alive in
the process, so its share grows with how much is alive at the same time, whatever that is made of: a bare client
sees the same.

    python benchmarks/scaling.py [--rounds N] [--json FILE] [--plot FILE.png] [--quick]
"""

from __future__ import annotations

import argparse
import functools
import gc
import io
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kernel import save, table
from scaling_work import Bench, BurstServer, Work, breaker, gate, token_window

from llx_magic.observe.palette import Style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 1.5
ROUNDS, QUICK_ROUNDS = 7, 5
SAMPLE_SECONDS, QUICK_SAMPLE_SECONDS = 0.06, 0.012

Samples = Mapping[int, Sequence[float]]
"""Microseconds per unit by size, one for each round."""


@dataclass(frozen=True)
class Curve:
    """One thing whose cost per ``unit`` may not grow with ``kind``, of which there are so many at each size."""

    kind: str
    what: str
    unit: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Work]


class Measured(NamedTuple):
    """The work itself, and what the garbage collector took beside it."""

    work: Samples
    collector: Samples


class Meter:
    """Tells the processor's time that passed from the part of it that was the garbage collector's."""

    def __init__(self) -> None:
        self._collected = self._begun = 0.0

    def __enter__(self) -> Meter:
        gc.callbacks.append(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._see)

    def sample(self, work: Work, calls: int) -> tuple[float, float, int]:
        """Return the seconds of the work, those of the collector, and the units done."""
        collected, begun = self._collected, time.process_time()
        units = sum(work() for _ in range(calls))
        passed, collected = time.process_time() - begun, self._collected - collected
        return passed - collected, collected, units

    def _see(self, phase: str, _facts: object) -> None:
        if phase == "start":
            self._begun = time.process_time()
        else:
            self._collected += time.process_time() - self._begun


def curves(bench: Bench, *, quick: bool) -> list[Curve]:
    """Return all that is measured."""
    backends = (1, 3, 10, 60) if quick else (1, 3, 30, 300)
    kept = (30, 100, 300, 2_000) if quick else (100, 1_000, 10_000, 100_000)
    at_a_time = (1, 16, 64, 200) if quick else (1, 16, 64, 256, 1_000, 2_000)
    reply = (100, 300, 1_000, 10_000) if quick else (100, 1_000, 10_000, 200_000)
    said = (1, 10, 30, 200) if quick else (1, 10, 100, 1_000)
    seen = (30, 100, 300, 3_000) if quick else (100, 1_000, 10_000, 100_000)
    one_setting = functools.partial(bench.backends, timeout_ms=60_000)
    return [
        Curve("backends", "request, first one answers", "backend", backends, bench.backends),
        Curve("backends", "request, own setting", "backend", backends, one_setting),
        Curve("backends", "request, only last answers", "backend", backends, bench.failing),
        Curve("backends", "dashboard drawn", "backend", backends, bench.drawing),
        Curve("requests kept", "request", "request", kept, bench.kept),
        Curve("requests kept", "dashboard drawn", "drawing", kept, bench.drawn),
        Curve("requests kept", "row of history()", "row", kept, bench.history),
        Curve("requests at a time", "request over HTTP", "request", at_a_time, bench.at_a_time),
        Curve("tokens of the reply", "reply streamed over HTTP", "token", reply, bench.streamed),
        Curve("messages of the conversation", "request over HTTP", "message", said, bench.asked),
        Curve("messages of the conversation", "turn, kept in a file", "message", said, bench.turn),
        Curve("visits in the window", "gate: admit and settle", "visit", seen, gate),
        Curve("visits in the window", "breaker: a counted failure", "visit", seen, breaker),
        Curve("visits in the window", "tokens per minute: add, read", "visit", seen, token_window),
    ]


def measure(curve: Curve, rounds: int, seconds: float) -> Measured:
    """Return the samples of one curve, after a round that is not counted and says how many calls a sample needs."""
    measured = Measured({size: [] for size in curve.sizes}, {size: [] for size in curve.sizes})
    works = {size: curve.prepare(size) for size in curve.sizes}
    with Meter() as meter:
        calls = {}
        for size, work in works.items():
            work()
            calls[size] = max(1, round(seconds / sum(meter.sample(work, 1)[:2])))
        for _ in range(rounds):
            for size, work in works.items():
                worked, collected, units = meter.sample(work, calls[size])
                measured.work[size].append(worked / units * 1e6)
                measured.collector[size].append(collected / units * 1e6)
    return measured


def middle(sizes: Sequence[int]) -> int:
    return sorted(sizes)[len(sizes) // 2]


def growth(samples: Samples) -> float:
    """Return the cost per unit at the largest size over that at the middle one, in the median of the rounds."""
    pairs = zip(samples[max(samples)], samples[middle(list(samples))], strict=True)
    return statistics.median(largest / other for largest, other in pairs)


def verdict(figures: Mapping[tuple[str, str], Samples]) -> list[str]:
    """Return a line for each curve, named by its kind of size and what it is, that is worse than in proportion."""
    return [
        f"{kind}: {what} costs {grown:.2f} times as much per unit at {max(samples):,} as at "
        f"{middle(list(samples)):,}; at most {MARGIN:g} times"
        for (kind, what), samples in figures.items()
        if (grown := growth(samples)) > MARGIN
    ]


def whole(measured: Measured) -> dict[int, list[float]]:
    """Return the work and the collector's time together."""
    return {
        size: [sum(both) for both in zip(each, measured.collector[size], strict=True)]
        for size, each in measured.work.items()
    }


def medians(samples: Samples) -> dict[int, float]:
    return {size: statistics.median(each) for size, each in samples.items()}


def report(found: Mapping[Curve, Measured]) -> None:
    """Print the table."""
    rows = []
    for curve, measured in found.items():
        work, collector = medians(measured.work), medians(measured.collector)
        costs = " · ".join(f"{size:,}: {_figure(work[size])} + {_figure(collector[size])}" for size in curve.sizes)
        growths = f"**{growth(measured.work):.2f}**", f"{growth(whole(measured)):.2f}"
        rows.append((curve.kind, curve.what, curve.unit, costs, *growths))
    costs = "µs of processor per unit at each size: work + garbage collector"
    table(["number of", "what", "unit", costs, f"growth (at most {MARGIN:g})", "with collector"], rows)


def _figure(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"


def plot(file: Path, found: Mapping[Curve, Measured]) -> None:
    """Draw a small plot for each kind of size."""
    from matplotlib.figure import Figure
    from PIL import Image

    kinds = list(dict.fromkeys(curve.kind for curve in found))
    figure = Figure(figsize=(13, 7.8), layout="constrained")
    figure.suptitle(
        "Cost per unit of work: level or falling means in proportion or better\n"
        f"beside each name: its growth from a middle size to the largest; dotted: {MARGIN:g} times, the most that is "
        "allowed; pale: with Python's garbage collector",
        fontsize="medium",
    )
    for kind, ax in zip(kinds, figure.subplots(2, 3).flat, strict=True):
        shown = {curve: measured for curve, measured in found.items() if curve.kind == kind}
        looks = styles(curve.what for curve in shown).values()
        for (curve, measured), look in zip(shown.items(), looks, strict=True):
            _draw(ax, curve, measured, look)
        _dress(ax, kind, list(dict.fromkeys(curve.unit for curve in shown)))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120)
    Image.open(drawn).convert("RGB").quantize(200).save(file, optimize=True)


def _draw(ax: Axes, curve: Curve, measured: Measured, look: Style) -> None:
    costs, with_collector = medians(measured.work), medians(whole(measured))
    sizes, middling = list(costs), middle(list(costs))
    label = f"{curve.what}: {growth(measured.work):.2f}"
    ax.plot(sizes, list(with_collector.values()), color=look.colour, alpha=0.35)
    ax.plot(sizes, list(costs.values()), color=look.colour, marker=look.marker, markersize=5, label=label)
    ax.plot([middling, max(sizes)], [costs[middling] * MARGIN] * 2, color=look.colour, linestyle=":")


def _dress(ax: Axes, kind: str, units: Sequence[str]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.set_yscale("log")
    names = len(ax.get_legend_handles_labels()[1])
    low, high = (math.log10(end) for end in ax.get_ylim())
    low = math.floor(low)
    high = max(math.ceil(high), low + 2)
    ax.set_ylim(10**low, 10 ** (high + (high - low) * 0.12 * names))  # the legend stands above the curves
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=12))
        axis.set_major_formatter(lambda number, _: f"{number:,.0f}" if number >= 1 else f"{number:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(f"number of {kind}")
    ax.set_ylabel(f"µs of processor per {units[0]}" if len(units) == 1 else "µs of processor for one")
    ax.set_title(kind[0].upper() + kind[1:], loc="left", fontweight="bold")
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.legend(loc="upper left", fontsize="small", frameon=True, framealpha=1, edgecolor="none")


def measure_all(rounds: int, seconds: float, *, quick: bool) -> dict[Curve, Measured]:
    """Return the samples of every curve, one kind of size after another."""
    found: dict[Curve, Measured] = {}
    with BurstServer() as server, tempfile.TemporaryDirectory() as folder:
        bench = Bench(server.url, Path(folder))
        for kind, group in itertools.groupby(curves(bench, quick=quick), key=lambda curve: curve.kind):
            begun = time.monotonic()
            for curve in group:
                found[curve] = measure(curve, rounds, seconds)
                if growth(found[curve].work) > MARGIN:  # what is so in truth is so again, a disturbance is not
                    found[curve] = measure(curve, 3 * rounds, seconds)
            bench.close()
            print(f"{kind}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help=f"how often each size is measured ({ROUNDS})")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the samples here too")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the curves here")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, in less than 20 s")
    given = parser.parse_args()
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    found = measure_all(rounds, QUICK_SAMPLE_SECONDS if given.quick else SAMPLE_SECONDS, quick=given.quick)
    report(found)
    names = {curve: f"{curve.kind}: {curve.what}" for curve in found}
    rows = {names[curve]: {"growth": growth(each.work), **each._asdict()} for curve, each in found.items()}
    save(given.json, {"benchmark": "scaling", "margin": MARGIN, "curves": rows})
    if given.plot:
        plot(given.plot, found)
    worse = verdict({(curve.kind, curve.what): measured.work for curve, measured in found.items()})
    for line in worse:
        print(f"scaling: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
