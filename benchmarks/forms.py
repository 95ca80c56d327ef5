"""What a call and a piece of a stream cost in each service's own form: ours beside the service's own client.

Both are processes of their own and take turns within each round; a figure is the median of the ratios of ours to the
other within the same round, of the processor's time that each process took. The server answers at once, in the form
that it is asked in. boto3 blocks, so it is asked one call at a time only.

    python benchmarks/forms.py [--rounds N] [--json FILE] [--only FORM,FORM]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from calls import Process
from environments import python_of
from form_clients import FORMS
from kernel import table
from quick_server import QuickServer


@dataclass(frozen=True)
class Measure:
    """What is measured: a task of `contender_process.py`, and the most that ours may take of Anthropic's client."""

    title: str
    task: dict[str, object]
    at_most: float | None = None


MEASURES = {
    "call": Measure("CPU per call, one after another", {"task": "calls", "count": 200, "at_a_time": 1}, 0.3),
    "at once": Measure("CPU per call, 16 at a time", {"task": "calls", "count": 320, "at_a_time": 16}),
    "chunk": Measure("CPU per chunk of a stream of 200 in a burst", {"task": "stream", "count": 20, "path": ""}, 0.2),
}
BLOCKS = "bedrock"

Figures = dict[str, dict[str, dict[str, float]]]


def measured(form: str, url: str, rounds: int) -> dict[str, dict[str, float]] | str:
    """Return the figures of one form by measure, or why there are none."""
    environment = python_of(FORMS[form][0])
    if environment.problem:
        return environment.problem
    theirs, ours = Process(f"client of {form}", environment.python), Process(f"ours in {form}", sys.executable)
    figures = {}
    try:
        for key, measure in MEASURES.items():
            if form == BLOCKS and key == "at once":
                continue
            samples = []
            for number in range(rounds + 1):
                pair = [process.do(url=url, **measure.task) for process in (ours, theirs)]
                if problem := next((str(each["error"]) for each in pair if "error" in each), None):
                    return problem
                if number:  # the first round is for warming up
                    samples.append([each["cpu"] for each in pair])
            figures[key] = {
                "ratio": statistics.median(mine / other for mine, other in samples),
                "ours": statistics.median(mine for mine, _ in samples) * 1e6,
                "theirs": statistics.median(other for _, other in samples) * 1e6,
            }
    finally:
        theirs.close()
        ours.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", help="forms, separated by commas")
    given = parser.parse_args()
    figures: Figures = {}
    missing: dict[str, str] = {}
    with QuickServer() as server:
        for form in given.only.split(",") if given.only else FORMS:
            found = measured(form, server.url, given.rounds)
            if isinstance(found, str):
                missing[form] = found
            else:
                figures[form] = found
            print(f"{form} is done", file=sys.stderr)
    bounds = [f"{each.title} (Anthropic: at most {each.at_most})" if each.at_most else each.title
              for each in MEASURES.values()]  # fmt: skip
    rows = [
        (form, f"`{FORMS[form][0]}`", *(_cell(found.get(key)) for key in MEASURES)) for form, found in figures.items()
    ]
    table(["form", "beside", *bounds], rows)
    for form, why in missing.items():
        print(f"{form} was not measured: {why}\n")
    if given.json:
        document = {"benchmark": "forms", "figures": figures, "missing": missing, "rounds": given.rounds}
        given.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _cell(found: dict[str, float] | None) -> str:
    return "" if found is None else f"**{found['ratio']:.2f}** ({found['ours']:,.0f} of {found['theirs']:,.0f} µs)"


if __name__ == "__main__":
    main()
