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


@pytest.mark.parametrize("prompt", [3, None, ["text"], b"bytes"])
def test_a_prompt_that_is_no_text_is_one_line(prompt):
    with pytest.raises(UsageProblem, match="the prompt must be a text"):
        ask(prompt)
