"""What prompts came to in a few figures, and what a change would have made of them in a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llx_magic.core.totals import Totals, what_if

WAS = Totals(prompts=100, answered=91, failed=9, p50=1.0, p95=14.0, cost=2.0, switches=5, wasted_tokens=100)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answered": 97, "failed": 3}, "with timeout_ms=8000: 97.0% answered instead of 91.0%"),
        ({"p95": 6.2}, "with timeout_ms=8000: 19 of 20 within 6.2 s instead of 14 s"),
        ({"cost": 1.0}, "with timeout_ms=8000: cost 1 instead of 2"),
        ({"p95": 14.5, "cost": 1.99}, None),
        ({"cost": None, "p95": None}, None),
    ],
)
def test_the_line_says_what_is_worth_a_word(change, says):
    assert what_if(WAS, replace(WAS, **change), "timeout_ms=8000") == says


def test_prompts_that_were_stopped_do_not_count():
    assert replace(WAS, answered=0, failed=0).success_rate is None
