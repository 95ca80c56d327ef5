"""What a request costs does not grow faster than what it is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SIZES = (1, 10, 100, 1_000)


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scaling

    return scaling


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_nothing_is_worse_than_linear(tmp_path: Path) -> None:
    """The short form of the benchmark passes, has a figure for every kind of size, and draws them."""
    file, picture = tmp_path / "figures.json", tmp_path / "scaling.png"
    command = [sys.executable, str(BENCHMARKS / "scaling.py"), "--quick", "--json", str(file), "--plot", str(picture)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    assert {name.partition(":")[0] for name in found["curves"]} == {
        "backends",
        "requests kept",
        "requests at a time",
        "tokens of the reply",
        "messages of the conversation",
        "visits in the window",
    }
    assert all(0 < each["growth"] <= found["margin"] for each in found["curves"].values())
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_cost_that_grows_faster_than_its_size_is_reported(scaling: ModuleType) -> None:
    """Quadratic work costs in proportion to the size per unit, and is named with its sizes."""
    quadratic = {size: [0.1 * size] * 3 for size in SIZES}
    linear = {size: [5.0 + 100.0 / size] * 3 for size in SIZES}
    (line,) = scaling.verdict({("tokens", "reply"): quadratic, ("tokens", "request"): linear})
    assert line == "tokens: reply costs 10.00 times as much per unit at 1,000 as at 100; at most 1.5 times"


def test_n_log_n_is_within_the_margin_and_a_root_is_not(scaling: ModuleType) -> None:
    """The margin lets through what ten times the size cannot turn into a problem, and no more."""
    logarithmic = {size: [float(len(str(size)))] * 3 for size in SIZES}
    root = {size: [size**0.5] * 3 for size in SIZES}
    assert scaling.verdict({("n", "sorted"): logarithmic}) == []
    assert len(scaling.verdict({("n", "root"): root})) == 1


def test_a_disturbance_of_one_round_decides_nothing(scaling: ModuleType) -> None:
    """The growth is the median of the rounds' own ratios, whatever all sizes took in a round."""
    disturbed = {1: [9.0, 9.0, 9.0], 10: [1.0, 4.0, 1.0], 100: [1.0, 4.0, 30.0]}
    assert scaling.growth({**disturbed, 1_000: [1.0, 4.0, 900.0]}) == 1.0
    assert scaling.verdict({("n", "request"): {**disturbed, 1_000: [1.0, 4.0, 900.0]}}) == []


def test_work_that_is_quadratic_is_found_by_measuring_it(scaling: ModuleType) -> None:
    """A text that is built anew for each of its pieces fails, one that is joined at the end passes."""

    def copied(size: int) -> object:
        def work() -> int:
            text: tuple[int, ...] = ()
            for piece in range(size):
                text = (*text, piece)
            return size

        return work

    def collected(size: int) -> object:
        return lambda: len(list(range(size)))

    sizes = (100, 1_000, 4_000)
    slow = scaling.Curve("pieces", "copied", "piece", sizes, copied)
    fast = scaling.Curve("pieces", "collected", "piece", sizes, collected)
    figures = {(each.kind, each.what): scaling.measure(each, 3, 0.01).work for each in (slow, fast)}
    (line,) = scaling.verdict(figures)
    assert line.startswith("pieces: copied costs ")
