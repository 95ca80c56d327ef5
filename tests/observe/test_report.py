"""Statistics as people read them: the plan's layout to the letter, and a table in which every text is escaped."""

from __future__ import annotations

import dataclasses

import pytest

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import Prompts
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.dashboard.rows import figures
from llx_magic.observe.report import as_html, circuit_in_words, html_table, plain, prompts_in_words
from llx_magic.observe.status.status import status_of
from tests.acceptance.scenario import STATISTICS
from tests.engine.kit import backend_snapshot


def backend(name: str, **facts) -> BackendSnapshot:
    return backend_snapshot(name, **facts)


def snapshot(*backends: BackendSnapshot) -> Snapshot:
    return Snapshot(profile="testlb489", at=0.0, backends=backends)


THE_PLANS = snapshot(
    backend(
        "synthetic", state="open", requests=8, success_rate=0.75, mean_latency=1.456, prompt_tokens=3000,
        completion_tokens=200, tpm=640.0,
    ),
    backend("chutes", requests=4, success_rate=1.0, mean_latency=0.98, completion_tokens=1800, tpm=900.0),
    backend("groqgpt"),
)  # fmt: skip


def test_the_text_is_the_plans_layout_to_the_letter():
    assert plain(THE_PLANS) == STATISTICS


def test_a_breaker_that_is_switched_off_reads_disabled():
    assert plain(snapshot(backend("a", state="disabled"))).endswith("  a: disabled")


def test_the_circuit_in_words_says_what_it_waits_for():
    assert circuit_in_words(backend("a", state="open", seconds_until_probe=12.4)) == "open, probe in 13 s"
    assert circuit_in_words(backend("a", state="open")) == "open, probe due"
    assert circuit_in_words(backend("a", state="open", seconds_until_probe=0.2)) == "open, probe in 1 s"
    assert circuit_in_words(backend("a", cooling_down=7.0)) == "closed, cooling down 7 s"
    assert circuit_in_words(backend("a", cooling_down=3595.0)) == "closed, cooling down 59 min 55 s"
    assert circuit_in_words(backend("a", cooling_down=0.0)) == "closed, cooling down, one request is out first"
    assert circuit_in_words(backend("a", tpm=1.0, tpm_threshold=2.0)) == "closed, below TPM"
    assert circuit_in_words(backend("a", tpm=2.0, tpm_threshold=2.0)) == "closed"


def test_an_error_message_cannot_bring_markup_into_the_table():
    shown = as_html(snapshot(backend("a", last_error='<script>alert("x")</script>')))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_headings_cells_and_caption_of_any_table_are_escaped():
    shown = html_table(["<h>"], [["<c>"]], caption="<t>")
    assert all(raw not in shown for raw in ("<h>", "<c>", "<t>"))


def test_a_caption_wider_than_its_table_stays_on_one_line():
    shown = html_table(["name"], [["m"]], caption="openai at api.openai.com: 1 model")
    assert "white-space:nowrap" in shown.partition("openai at")[0].rpartition("<caption")[2]


def test_a_table_of_nothing_says_that_nothing_was_asked():
    assert NOTHING_ASKED in as_html(snapshot(backend("a")))
    assert NOTHING_ASKED not in as_html(THE_PLANS)


def test_prompts_that_nobody_answered_stand_below_the_plans_layout():
    failed = dataclasses.replace(THE_PLANS, prompts=Prompts(answered=4, failed=10))
    counted = "Total Requests counts visits to backends"
    assert plain(failed) == f"{STATISTICS}\n\nPrompts: 14 asked, 4 answered, 10 failed · {counted}"
    assert counted not in plain(dataclasses.replace(THE_PLANS, prompts=Prompts(answered=2, failed=10)))
    assert "prompts: 14 asked, 4 answered, 10 failed" in as_html(failed)


def test_times_of_prompts_stand_beside_their_counts_and_numbers_to_the_right():
    prompts = Prompts(answered=4, failed=10, median_seconds=1.2, p95_seconds=9.0)
    told = dataclasses.replace(THE_PLANS, prompts=prompts)
    assert "Prompts: 14 asked, 4 answered, 10 failed · half within 1.2 s, 19 of 20 within 9 s" in plain(told)
    shown = as_html(told)
    assert "14 asked, 4 answered, 10 failed; half within 1.2 s, 19 of 20 within 9 s" in shown
    assert [cell.split(";")[0] for cell in shown.split('<th scope="col" style="text-align:')[1:4]] == [
        "left",
        "left",
        "right",
    ]


def test_rarer_outcomes_of_prompts_are_told_where_there_are_any():
    prompts = Prompts(answered=1200, failed=0, cancelled=1, running=2)
    assert prompts_in_words(prompts) == "1,203 asked, 1,200 answered, 0 failed, 1 cancelled, 2 running"


def test_the_table_tells_unknown_from_nothing_and_part_from_whole():
    shown = as_html(
        snapshot(
            backend("a", requests=300, success_rate=299 / 300, mean_latency=0.0002, completion_tokens=1_234_567),
            backend("b", tpm=0.3),
        )
    )
    for text in ("99.7%", "0.2&nbsp;ms", "1,234,567", "N/A", ">0.3<"):
        assert text in shown
    assert "100" not in shown


def test_nothing_reads_as_none_in_the_plans_layout_where_it_is_something():
    shown = plain(snapshot(backend("a", success_rate=9999 / 10_000, mean_latency=0.0002, tpm=0.3)))
    assert "Success Rate: 99.99%" in shown
    assert "Avg Latency: 0.2ms" in shown
    assert "TPM: 0.3" in shown


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, "0"),
        ({"requests": 2, "failures": 2}, "0"),
        ({"successes": 3, "completion_tokens": 900}, "0"),
        ({"successes": 3}, "N/A"),
        ({"successes": 1, "completion_tokens": 9, "has_counted": True}, "N/A"),
    ],
    ids=["never asked", "only failed", "quiet for long", "told no tokens", "took no time"],
)
def test_no_tokens_a_minute_read_0_and_an_unknown_rate_reads_not_known_in_every_view(facts, shown):
    idle = backend("a", **facts)
    assert f"    TPM: {shown}\n" in plain(snapshot(idle))
    assert as_html(snapshot(idle)).count(f">{shown}<") >= 1
    assert str(status_of(snapshot(idle))).splitlines()[-1].endswith(f"  {shown}")
    assert figures(idle).tpm == ({"0": "0", "N/A": ""}[shown] if facts.get("requests", facts.get("successes")) else "")


def test_a_rate_of_less_than_a_minute_says_over_how_long_it_is():
    assert ">12,000 over 200&nbsp;ms<" in as_html(snapshot(backend("a", tpm=12_000, tpm_seconds=0.2)))
    assert ">640<" in as_html(snapshot(backend("a", tpm=640, tpm_seconds=60.0)))
    both = snapshot(backend("a", tpm=12_000, tpm_seconds=0.2), backend("b", tpm=640, tpm_seconds=60.0))
    assert plain(both).endswith("b: closed\n\nTPM of less than a minute says little: a over 200 ms")
    assert "12,000 over 200 ms" in str(status_of(both))


def test_columns_that_say_nothing_of_any_backend_are_left_out_and_errors_stand_below_the_table():
    assert "time-outs" not in as_html(snapshot(backend("a"), backend("b")))
    shown = as_html(snapshot(backend("a"), backend("b", timeouts=1, last_error="refused")))
    assert ">time-outs<" in shown
    assert shown.index("</table>") < shown.index("<b>b</b>, last error: refused")


def test_a_list_without_blanks_may_break_after_its_commas_and_a_number_may_not():
    shown = html_table(["codes", "tokens"], [["408,409,425,429,500", "1,234,567"]])
    assert "408,<wbr>409,<wbr>425" in shown
    assert "1,234,567" in shown


def test_the_plans_layout_tells_of_visits_that_were_outrun_why_they_are_no_part_of_the_success_rate():
    shown = plain(snapshot(backend("a", requests=5, success_rate=1 / 3, outrun=2), backend("b", hedges=2)))
    assert "but no success and no failure): a asked as well 0, outrun 2; b asked as well 2, outrun 0" in shown
