"""A model's reasoning in a cell: folded, shown or hidden above its answer, safe, and cheap while it comes."""

from __future__ import annotations

import io

import pytest

from llx_magic.commands.terminal import TerminalView
from llx_magic.core.reply import Delta, Restart, Thought
from llx_magic.notebook.reasoning import LATEST
from llx_magic.notebook.status import Status
from llx_magic.notebook.view import CellView
from tests.notebook.test_view import HOSTILE, Recorder, reply


def view(screen: Recorder, mode: str = "folded") -> CellView:
    return CellView(screen, status=Status({}, lambda: 0.0), reasoning=mode)  # type: ignore[arg-type]


@pytest.fixture
def screen() -> Recorder:
    return Recorder()


@pytest.mark.parametrize(("mode", "begins"), [("folded", "<details"), ("shown", "<details"), ("hidden", "<div")])
def test_reasoning_stands_above_the_answer_as_the_preference_says(screen, mode, begins):
    view(screen, mode).finish(reply("Four.", reasoning="Two **and** two."))
    assert screen.html.startswith(begins)
    assert ("Two <strong>and</strong> two." in screen.html) is (mode != "hidden")
    assert (" open><summary>reasoning · 3 words</summary>" in screen.html) is (mode == "shown")
    assert "Two" not in screen.plain


def test_reasoning_streams_into_the_block(screen):
    shown = view(screen)
    shown.draw([Thought("Two and ")])
    shown.draw([Thought("two.")])
    assert "<summary>reasoning · 3 words</summary>" in screen.html
    assert "Two and two." in screen.html


def test_a_restart_withdraws_the_reasoning_too(screen):
    shown = view(screen)
    shown.draw([Thought("Two and two."), Restart("b", "reset", "c")])
    assert "Two and two." not in screen.html


@pytest.mark.parametrize("mode", ["folded", "shown"])
def test_reasoning_is_as_safe_as_the_reply(screen, mode):
    evil = f"<img src=x onerror=alert(1)></details><script>alert(1)</script> {HOSTILE} $x$"
    shown = view(screen, mode)
    shown.draw([Thought(evil)])
    shown.finish(reply("Four.", reasoning=evil))
    for bundle in screen.bundles:
        page = bundle["text/html"]
        assert "<img" not in page
        assert "<script" not in page
        assert "\x1b" not in page
        assert page.split("</details>")[0].endswith("</div>")


@pytest.mark.parametrize("mode", ["folded", "shown"])
def test_a_drawing_of_long_reasoning_costs_what_is_shown_of_it(screen, mode):
    shown = view(screen, mode)
    shown.draw([Thought("a word " * 20_000)])
    assert len(screen.html) < LATEST + 1_000
    shown.draw([Delta("Four.")])
    assert len(screen.html) < (LATEST if mode == "shown" else 0) + 1_000
    assert "reasoning · 40,000 words" in screen.html


@pytest.mark.parametrize("parts", [(), (Delta("Fo"),)], ids=["reasoning alone", "half an answer"])
@pytest.mark.parametrize("is_live", [True, False])
def test_what_is_given_up_keeps_the_reasoning_folded_above_why(screen, is_live, parts):
    shown = view(screen) if is_live else CellView(screen, status=None)
    shown.draw([Thought("Two **and** two."), *parts])
    shown.give_up("interrupted")
    block, _, below = screen.html.partition("</details>")
    assert "<summary>reasoning · 3 words</summary>" in block
    assert "Two <strong>and</strong> two." in block
    assert "interrupted" in below


def test_reasoning_that_a_restart_withdrew_is_not_kept_when_the_next_gives_up_too(screen):
    shown = view(screen)
    shown.draw([Thought("Two and two."), Restart("b", "reset", "c")])
    shown.give_up("no whole answer")
    assert "reasoning" not in screen.html


def test_hidden_reasoning_stays_hidden_when_it_is_given_up(screen):
    shown = view(screen, "hidden")
    shown.draw([Thought("Two and two.")])
    shown.give_up("interrupted")
    assert "reasoning" not in screen.html


def test_a_terminal_shows_the_answer_alone():
    out = io.StringIO()
    terminal = TerminalView(out, None, live=True)
    terminal.draw([Thought("Two and two."), Delta("Four.")])
    terminal.finish(reply("Four.", reasoning="Two and two."))
    assert out.getvalue() == "Four.\n"


@pytest.mark.parametrize("mode", ["thinking-parts", "reasoning-details", "think-tags"])
def test_in_a_cell_the_reasoning_of_a_server_is_folded_and_in_the_reply(viewer, first, mode):
    first.set_default(mode)
    page = viewer("%%llx\nhello").fine().shown[-1]["data"]["text/html"]
    assert viewer.last.reasoning.strip() == "First think."
    assert "<summary>reasoning · 2 words</summary>" in page
    assert page.index("First think.") < page.index("says")


def test_the_preference_is_one_of_the_magics(viewer, first):
    first.set_default("thinking-parts")
    viewer("%config LlxMagics.reasoning = 'hidden'").fine()
    assert "First think." not in viewer("%%llx\nhello").fine().shown[-1]["data"]["text/html"]
    assert viewer.last.reasoning == "First think."


def test_a_request_for_a_tool_alone_is_one_line_and_no_fault_of_the_backend(viewer, first):
    first.script("tool-only")
    viewer("%llx_set circuit_breaker_failure_threshold 1").fine()
    ran = viewer("%%llx -b first --set failover_retry_count=3\nhello")
    assert "the reply asks for the tool look_up; llx_magic runs none" in ran.failure
    assert "\n" not in ran.failure
    assert len(first.requests) == 1
    viewer("%%llx\nhello").fine()
    assert viewer.last.backend == "first"


def test_a_request_for_a_tool_beside_a_text_is_a_note_below_it(viewer, first):
    first.set_default("text-and-tool")
    ran = viewer("%%llx\nhello").fine()
    assert "the reply asks for the tool look_up; llx_magic runs none" in ran.shown[-1]["data"]["text/plain"]


def test_formulas_of_the_whole_reasoning_are_drawn_as_those_of_the_reply_are(screen):
    shown = view(screen, "shown")
    shown.draw([Thought("So $x^2$")])
    assert "mathjax_ignore" in screen.html.partition("</details>")[0]
    shown.finish(reply("Four.", reasoning="So $x^2$"))
    assert "mathjax_ignore" not in screen.html.partition("</details>")[0]
