"""The verdict on each failure is the same in every form, and no form lacks one."""

from __future__ import annotations

import pytest

from tests.wires.goldens import SCENARIOS, absent, forms
from tests.wires.verdicts import FAILING, tables, verdicts

FOUND = verdicts()

AGAIN, COUNTS, COOLS, NEXT = "again", "counts", "cools", "next"
REPLY: frozenset[str] = frozenset()

EXPECTED = {
    "status-400": ("bad request", {NEXT}),
    "status-401": ("access refused", {COUNTS, NEXT}),
    "status-403": ("access refused", {COUNTS, NEXT}),
    "status-404": ("access refused", {COUNTS, NEXT}),
    "status-429": ("rate limit", {AGAIN, COOLS, NEXT}),
    "status-429-quota": ("rate limit (quota)", {COOLS, NEXT}),
    "status-500": ("server error", {AGAIN, COUNTS, NEXT}),
    "status-503": ("server error", {AGAIN, COUNTS, NEXT}),
    "status-context": ("context too long", {NEXT}),
    "status-filter": ("content filter", REPLY),
    "error-event-overloaded": ("server error", {AGAIN, COUNTS, NEXT}),
    "error-event-rate-limit": ("rate limit", {AGAIN, COOLS, NEXT}),
    "error-after-text": ("server error", {COUNTS, NEXT}),
    "page-instead": ("unusable reply", {AGAIN, COUNTS, NEXT}),
    "cut-before-text": ("unusable reply", {AGAIN, COUNTS, NEXT}),
    "cut-after-text": ("unusable reply", {COUNTS, NEXT}),
    "silence-after-finish": ("a reply (stop)", REPLY),
    "bad-json-middle": ("unusable reply", {COUNTS, NEXT}),
    "filter-before-text": ("content filter", REPLY),
    "filter-after-text": ("content filter", REPLY),
    "prompt-blocked": ("content filter", REPLY),
    "refusal": ("a reply (stop)", REPLY),
    "context-window-full": ("a reply (length)", REPLY),
    "tool-only": ("bad request", {NEXT}),
    "tool-with-text": ("a reply (tool_calls)", REPLY),
    "thinking-only-length": ("a reply (length)", REPLY),
    "empty": ("unusable reply", {AGAIN, COUNTS, NEXT}),
    "usage-absent": ("a reply (stop)", REPLY),
}
"""What a scenario comes to in every form; what is not named in the set is not so."""

OTHERWISE = {
    ("anthropic", "refusal"): ("content filter", REPLY),  # its classifier stops the reply, and says no words
    ("responses", "context-window-full"): ("context too long", {NEXT}),  # an error event, not a reason of the end
    ("gemini", "tool-with-text"): ("a reply (stop)", REPLY),  # these three end with their ordinary word
    ("ollama", "tool-with-text"): ("a reply (stop)", REPLY),
    ("responses", "tool-with-text"): ("a reply (stop)", REPLY),
}

CELLS = [(form, scenario) for form in forms() for scenario in FAILING]


@pytest.mark.parametrize(("form", "scenario"), CELLS)
def test_a_failing_scenario_has_the_same_verdict_in_every_form_or_a_reason_why_there_is_none(form, scenario):
    if scenario not in FOUND[form]:
        assert absent(form)[scenario]
        return
    verdict = FOUND[form][scenario]
    told = {each for each in (AGAIN, COUNTS, COOLS, NEXT) if getattr(verdict, each)}
    assert (verdict.kind, told) == OTHERWISE.get((form, scenario), EXPECTED[scenario])


def test_every_scenario_that_fails_anywhere_has_its_row():
    amiss = {name for each in FOUND.values() for name, verdict in each.items() if verdict.failed}
    assert amiss & set(SCENARIOS) <= set(FAILING) == set(EXPECTED)
    assert set(FAILING) <= set(SCENARIOS)


@pytest.mark.parametrize("form", forms())
def test_each_forms_table_has_all_its_failures(form):
    """Those that all forms share, in words or with the reason why it cannot have one, and its own by their names."""
    table = dict(zip(forms(), tables().split("\n## ")[1:], strict=True))[form]
    own = {name for name, verdict in FOUND[form].items() if verdict.failed and name not in SCENARIOS}
    assert all(f"\n| {title} |" in table for title in FAILING.values())
    assert all(f"\n| `{name}` |" in table for name in own)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(FAILING) + len(own)
    assert {row.count("|") for row in rows} == {8}
