"""Statistics as people read them: the plan's layout to the letter, and a table in which every text is escaped."""

from __future__ import annotations

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.observe.report import as_html, circuit_in_words, html_table, plain
from tests.unit.kit import backend_snapshot


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

LAYOUT = """\
Load Balancer Statistics
Profile: testlb489
Total Requests: 12

Backend Metrics:
  synthetic
    Requests: 8
    Success Rate: 75.0%
    Avg Latency: 1456ms
    Tokens: 3200
    TPM: 640

  chutes
    Requests: 4
    Success Rate: 100.0%
    Avg Latency: 980ms
    Tokens: 1800
    TPM: 900

  groqgpt
    Requests: 0
    Success Rate: N/A
    Avg Latency: N/A
    Tokens: 0
    TPM: 0

Circuit Breaker States:
  synthetic: open
  chutes: closed
  groqgpt: closed"""


def test_the_text_is_the_plans_layout_to_the_letter():
    assert plain(THE_PLANS) == LAYOUT


def test_a_breaker_that_is_switched_off_reads_disabled():
    assert plain(snapshot(backend("a", state="disabled"))).endswith("  a: disabled")


def test_the_circuit_in_words_says_what_it_waits_for():
    assert circuit_in_words(backend("a", state="open", seconds_until_probe=12.4)) == "open, probe in 12 s"
    assert circuit_in_words(backend("a", state="open")) == "open, probe due"
    assert circuit_in_words(backend("a", cooling_down=7.0)) == "closed, cooling down 7 s"
    assert circuit_in_words(backend("a", tpm=1.0, tpm_threshold=2.0)) == "closed, below TPM"
    assert circuit_in_words(backend("a", tpm=2.0, tpm_threshold=2.0)) == "closed"


def test_an_error_message_cannot_bring_markup_into_the_table():
    shown = as_html(snapshot(backend("a", last_error='<script>alert("x")</script>')))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_headings_cells_and_caption_of_any_table_are_escaped():
    shown = html_table(["<h>"], [["<c>"]], caption="<t>")
    assert all(raw not in shown for raw in ("<h>", "<c>", "<t>"))


def test_a_table_of_nothing_says_that_nothing_was_asked():
    assert "nothing has been asked of this profile yet" in as_html(snapshot(backend("a")))
    assert "nothing has been asked" not in as_html(THE_PLANS)
