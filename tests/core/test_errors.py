"""The error of a request that nobody answered: one line that names every backend and says nothing twice."""

from __future__ import annotations

import pytest

from llx_magic.core.events import RequestStarted
from llx_magic.core.trace import Trace
from llx_magic.errors import AllBackendsFailed, Reason, UsageProblem
from llx_magic.session.api import ask


@pytest.mark.parametrize(
    ("headline", "reasons", "wanted"),
    [
        ("local refused the request: X", [Reason("local", "X")], "local refused the request: X"),
        ("a refused the request: X", [Reason("a", "X"), Reason("b", "X")], "a refused the request: X; b: X"),
        ("filtered by a; none other", [Reason("a", "filtered by a")], "filtered by a; none other"),
        ("filtered; none other", [Reason("a", "filtered")], "filtered; none other; a: filtered"),
        ("nobody answered", [Reason("a", "503"), Reason("b", "503")], "nobody answered; a: 503; b: 503"),
        ("a refused: X", [Reason("a", "X", 5.0)], "a refused: X; a: X (may be tried again in 5 s)"),
        ("none", [Reason("a", "X", 0.2)], "none; a: X (may be tried again in 1 s)"),
        ("none", [Reason("a", "X", 0.0)], "none; a: X (may be tried again now)"),
        ("none", [Reason("a", "X", 3595.0)], "none; a: X (may be tried again in 59 min 55 s)"),
    ],
)  # fmt: skip
def test_each_backend_is_named_and_no_message_is_said_twice(headline, reasons, wanted):
    assert str(AllBackendsFailed(headline, tuple(reasons))) == wanted


def test_a_message_that_names_the_backend_has_no_name_before_it():
    assert str(Reason("fast", "no key for fast: set KEY")) == "no key for fast: set KEY"
    assert str(Reason("a", "no key for fast: set KEY")) == "a: no key for fast: set KEY"


def test_a_trace_shows_itself_as_a_waterfall():
    trace = Trace((RequestStarted(request=1, at=0.0, policy="failover", order=("a", "b")),))
    assert repr(trace) == str(trace)
    assert "dataclass" not in repr(trace)
    assert "RequestStarted" not in repr(trace)


@pytest.mark.parametrize("prompt", [3, None, ["text", 3], b"bytes"])
def test_a_prompt_that_is_no_text_is_one_line(prompt):
    with pytest.raises(UsageProblem, match="the prompt must be a text"):
        ask(prompt)


LISTED = AllBackendsFailed(
    "no backend could answer",
    (
        Reason("alpha", "503 Service Unavailable"),
        Reason("b", "circuit open", 12.0, "%llx_circuit close b"),
        Reason("gamma", "no key for gamma: set GAMMA_KEY"),
    ),
    summary="no backend could answer: 1 failed, 1 with an open circuit, 1 not usable",
)


def test_in_a_cell_each_backend_has_a_line_with_the_command_that_helps():
    assert LISTED._render_traceback_() == [
        "AllBackendsFailed: no backend could answer: 1 failed, 1 with an open circuit, 1 not usable",
        "  alpha  503 Service Unavailable",
        "  b      circuit open (may be tried again in 12 s); %llx_circuit close b ends that",
        "  gamma  no key for gamma: set GAMMA_KEY",
    ]


def test_in_a_shell_no_command_is_named_that_would_do_nothing_there():
    assert not any("%llx_circuit" in line for line in LISTED.lines())


def test_what_the_headline_says_of_a_single_backend_is_not_said_again():
    refused = AllBackendsFailed("a refused the request: X", (Reason("a", "X"),))
    assert refused._render_traceback_() == ["AllBackendsFailed: a refused the request: X"]
