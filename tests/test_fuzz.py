"""Every parser stands a few hundred inputs made of real ones; ``scripts/fuzz.py`` gives it as many as one likes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "scripts" / "fuzz.py"
SPEC = importlib.util.spec_from_file_location("fuzz", PATH)
assert SPEC is not None
fuzz = importlib.util.module_from_spec(SPEC)
sys.modules["fuzz"] = fuzz  # dataclasses look their module up
SPEC.loader.exec_module(fuzz)

INPUTS = 300
DEAR = {"forms of replies": 50, "Markdown": 100}
"""Parsers of which an input costs a hundred times as much as of the others: fewer inputs."""


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [parser.name for parser in fuzz.parsers(Path())])
def test_a_parser_gives_a_value_or_one_line_and_takes_steps_in_proportion(name, times, tmp_path):
    parser = next(parser for parser in fuzz.parsers(tmp_path) if parser.name == name)
    inputs = times * DEAR.get(name, INPUTS)
    found = fuzz.fuzz(parser, inputs, seed=7)
    assert found.faults == []
    assert found.inputs == inputs
    assert found.most_steps <= 1


def test_what_is_found_is_told_once_with_the_input_that_did_it():
    """The watch is not blind: neither for what escapes, nor for several lines, nor for too many steps."""

    def escapes(data: bytes, _chance: object) -> None:
        if b"}" in data:
            raise KeyError("x")

    def loops(data: bytes, _chance: object) -> None:
        for _ in range(100_000):
            data = data[:]

    samples = (b"{}",)
    assert len(fuzz.fuzz(fuzz.Parser("escapes", escapes, samples), 50, seed=1).faults) == 1
    assert "steps for" in fuzz.fuzz(fuzz.Parser("loops", loops, samples), 2, seed=1).faults[0]
    with pytest.raises(AssertionError, match="several lines"):
        fuzz._check_line("a\nb")
