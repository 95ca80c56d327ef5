"""What a cell shows of a reply: redrawn while it grows, withdrawn when it breaks off, whole at the end."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.commands.footer import SHELL_NOTE_LENGTH, footer
from llx_magic.core.events import AttemptFailed, AttemptStarted, FirstTokenReceived
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.reply import Delta, Reply, Restart, Usage
from llx_magic.notebook.status import Status
from llx_magic.notebook.view import FIRST_PAUSE, CellView, shaped

HOSTILE = "\x1b[31mred\x1b[0m\x07 \u202ereversed\u2066 \x9b2Jend\rover"


def reply(text: str, **facts) -> Reply:
    given = {"backend": "b", "model": "m", "usage": Usage(3, 4), "attempts": 1, "seconds": 1.0, "ttft": 0.5}
    return Reply(**{**given, "text": text, "finish_reason": "stop", **facts})


def status() -> Status:
    return Status({}, lambda: 0.0)


class Recorder:
    """Takes what a view shows."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []
        self.replaced: list[bool] = []

    def __call__(self, bundle: dict[str, str], replaces: bool) -> None:
        self.bundles.append(bundle)
        self.replaced.append(replaces)

    @property
    def html(self) -> str:
        return self.bundles[-1]["text/html"]

    @property
    def plain(self) -> str:
        return self.bundles[-1]["text/plain"]


@pytest.fixture
def screen():
    return Recorder()


@pytest.fixture
def view(screen):
    return CellView(screen, status=status())


def started(backend: str = "b", attempt: int = 1) -> AttemptStarted:
    return AttemptStarted(at=0.0, request=1, backend=backend, attempt=attempt, attempts=2)


def test_the_first_drawing_is_a_display_and_all_others_replace_it(view, screen):
    view.draw([started()])
    view.draw([Delta("a ")])
    view.draw([Delta("b")])
    view.finish(reply("a b"))
    assert screen.replaced == [False, True, True, True]


def test_what_is_drawn_is_all_that_has_come(view, screen):
    view.draw([Delta("one "), Delta("**two")])
    view.draw([Delta("**")])
    assert "one <strong>two</strong>" in screen.html


def test_nothing_is_drawn_where_nothing_has_changed(view, screen):
    view.draw([Delta("one")])
    view.draw([])
    assert len(screen.bundles) == 1


def test_the_pause_grows_with_what_is_shown(view):
    short = view.draw([Delta("word " * 10)])
    long = view.draw([Delta("word " * 2000)])
    assert FIRST_PAUSE <= short < 0.2
    assert long > 0.5
    assert view.draw([]) == FIRST_PAUSE


def test_the_sum_of_what_a_long_reply_sends_stays_near_what_it_holds():
    """Two thousand tokens of five characters in ten seconds, drawn no sooner than each pause allows."""
    sent = Recorder()
    view = CellView(sent, status=status())
    now, due, waiting = 0.0, 0.0, []
    for number in range(2000):
        now = number * 0.005
        waiting.append(Delta("word "))
        if now >= due:
            due = now + view.draw(waiting)
            waiting = []
    view.draw(waiting)
    text = view.received.text
    view.finish(reply(text))
    total = sum(len(part) for bundle in sent.bundles for part in bundle.values())
    assert total < 180_000


def test_what_is_under_way_is_told(view, screen):
    view.draw([started()])
    assert "asking b…" in screen.html
    view.draw([started(attempt=2)])
    assert "asking b, attempt 2…" in screen.html
    view.draw([FirstTokenReceived(at=0.0, request=1, backend="b", seconds=0.1)])
    assert "b is answering…" in screen.html
    failure = Failure(kind=FailureKind.SERVER, message="503 <b>oops</b>", status=503)
    view.draw([AttemptFailed(at=0.0, request=1, backend="b", attempt=1, failure=failure, seconds=0.1)])
    assert "b failed: 503 &lt;b&gt;oops&lt;/b&gt;" in screen.html


def test_a_restart_withdraws_the_text_and_says_why(view, screen):
    view.draw([Delta("half of it")])
    view.draw([Restart("b", "reset <i>", "c")])
    assert "half of it" not in screen.html
    assert "b broke off (reset &lt;i&gt;), asking c" in screen.html
    view.draw([Delta("whole")])
    assert "whole" in screen.html
    assert "broke off" in screen.html


def test_a_restart_and_the_text_before_it_in_one_drawing_show_nothing_of_it(view, screen):
    view.draw([Delta("half"), Restart("b", "reset", "c"), Delta("new")])
    assert "half" not in screen.html
    assert view.received.text == "new"


def test_the_final_display_holds_plain_text_and_safe_html_and_nothing_besides(view, screen):
    view.finish(reply("**x** <img src=x onerror=alert(1)>"))
    assert set(screen.bundles[-1]) == {"text/plain", "text/html"}
    assert "<img" not in screen.html


def test_no_drawing_on_the_way_is_markdown_either(view, screen):
    view.draw([started(), Delta("**x**")])
    assert all("text/markdown" not in bundle for bundle in screen.bundles)


@pytest.mark.parametrize("form", ["markdown", "text", "code", "json"])
def test_control_characters_reach_no_display(screen, form):
    view = CellView(screen, status=status(), form=form)
    view.draw([Delta(HOSTILE)])
    view.draw([Restart(HOSTILE, HOSTILE, HOSTILE)])
    view.draw([Delta(HOSTILE)])
    view.finish(reply(HOSTILE, backend=HOSTILE, model=HOSTILE, notes=(HOSTILE,)))
    shown = "".join(bundle[kind] for bundle in screen.bundles for kind in ("text/plain", "text/html"))
    assert not set(shown) & set("\x1b\x07\u202e\u2066\x9b\r")


@pytest.mark.parametrize("form", ["markdown", "text", "code", "json"])
def test_markup_of_the_model_is_shown_and_not_obeyed(screen, form):
    view = CellView(screen, status=status(), form=form)
    hostile = '<script>alert(1)</script><b onclick="x">'
    view.draw([Delta(hostile), Restart(hostile, hostile, hostile), Delta(hostile)])
    view.finish(reply(hostile, backend=hostile, model=hostile, notes=(hostile,)))
    assert all("<script" not in bundle["text/html"] and "<b " not in bundle["text/html"] for bundle in screen.bundles)


def test_the_footer_is_below_the_reply_and_opens_to_the_trace(view, screen):
    whole = reply("hi")
    view.finish(whole)
    assert screen.plain == f"hi\n\n{footer(whole)}"
    assert f"<summary>{footer(whole)}</summary>" in screen.html
    assert "nothing has been asked yet" in screen.html


def test_the_footer_has_peoples_units_and_something_never_reads_as_nothing():
    shown = footer(reply("hi", seconds=85.2, ttft=0.0002, usage=Usage(12_345, 1), cost=0.000_012_3))
    assert shown == "b (m) · 1 min 25 s · first token 0.2 ms · 12,345 + 1 tokens · cost 0.0000123"


def test_without_a_footer_there_is_the_reply_alone(screen):
    CellView(screen, status=status(), footer_mode="none").finish(reply("hi"))
    assert screen.plain == "hi"
    assert "<details" not in screen.html


def test_a_stable_footer_names_who_answered_and_why_and_nothing_that_varies(screen):
    notes = (
        "a failed: no text within 1200 ms (first_token_timeout_ms)",
        "a skipped: cooling down, 12 s left",
        "a put aside: TPM 499.7 below 500",
        "a broke off after 3 words (reset), restarted",
        "20 of 500 rows sent",
    )
    shown = footer(reply("hi", cost=0.1, notes=notes), "stable")
    assert shown == (
        "b (m) · finish stop · a failed: no text within … (first_token_timeout_ms) · a skipped: cooling down, … left · "
        "a put aside: TPM … below 500 · a broke off after … words (reset), restarted · 20 of 500 rows sent"
    )
    CellView(screen, status=None, footer_mode="stable").finish(reply("hi", cost=0.1, notes=notes))
    assert screen.plain == f"hi\n\n{shown}"
    assert "<details" not in screen.html


@pytest.mark.parametrize("mode", ["full", "status", "stable", "none"])
def test_a_prompt_in_the_background_says_that_it_runs_for_as_long_as_it_does(screen, mode):
    view = CellView(screen, status=status(), job="job 1 is running", footer_mode=mode)
    assert screen.plain == "asking…\njob 1 is running"
    view.draw([started(), Delta("half")])
    assert "job 1 is running" in screen.html
    view.finish(reply("whole"))
    assert "job 1" not in f"{screen.plain}{screen.html}"


def test_where_nothing_is_live_there_is_exactly_one_display(screen):
    view = CellView(screen, status=None)
    view.draw([started(), Delta("a")])
    view.draw([Restart("b", "reset", "c"), Delta("b")])
    view.finish(reply("b"))
    assert len(screen.bundles) == 1
    assert screen.replaced == [False]


def test_what_is_given_up_keeps_its_text_marked(view, screen):
    view.draw([Delta("half")])
    view.give_up("interrupted")
    assert screen.plain == "half\n\ninterrupted: the text above is incomplete"
    assert "half" in screen.html
    assert "incomplete" in screen.html
    assert screen.replaced == [False, True]


def test_an_error_of_several_lines_is_given_line_by_line(view, screen):
    view.draw([Delta("half")])
    view.give_up("nobody answered\n  a  503\n  b  504")
    assert screen.plain == "half\n\nnobody answered: the text above is incomplete\n  a  503\n  b  504"
    assert "<br>a 503<br>b 504" in screen.html


def test_what_is_given_up_before_any_text_says_why_in_place_of_the_status(view, screen):
    view.draw([started()])
    view.give_up("interrupted")
    assert screen.plain == "interrupted"


def test_where_nothing_is_live_a_partial_text_is_shown_when_it_is_given_up(screen):
    view = CellView(screen, status=None)
    view.draw([Delta("half")])
    view.give_up("no whole answer")
    assert len(screen.bundles) == 1
    assert "half" in screen.plain


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_during_the_first_drawing_leaves_its_word_in_that_drawings_place(when):
    class Interrupted(Recorder):
        def __call__(self, bundle: dict[str, str], replaces: bool) -> None:
            if not self.bundles and when == "before":
                signal.raise_signal(signal.SIGINT)
            super().__call__(bundle, replaces)
            if len(self.bundles) == 1 and when == "after":
                signal.raise_signal(signal.SIGINT)

    screen = Interrupted()
    view = CellView(screen, status=status())
    with pytest.raises(KeyboardInterrupt):
        view.draw([started()])
    view.give_up("interrupted")
    assert screen.plain == "interrupted"
    assert screen.replaced == [False, True]


def test_where_nothing_was_shown_and_nothing_came_nothing_is_left(screen):
    CellView(screen, status=None).give_up("interrupted")
    assert not screen.bundles


def test_incomplete_json_is_shown_as_it_is_until_it_is_whole(screen):
    view = CellView(screen, status=status(), form="json")
    view.draw([Delta('{"a": ')])
    assert "{" in screen.html
    view.draw([Delta("1}")])
    assert shaped('{"a": 1}', "json") == '{\n  "a": 1\n}'


@given(st.lists(st.text(max_size=20), max_size=8), st.sampled_from(["markdown", "text", "code", "json"]))
def test_any_pieces_can_be_drawn_in_any_form(pieces, form):
    screen = Recorder()
    view = CellView(screen, status=status(), form=form)
    for piece in pieces:
        view.draw([Delta(piece)])
    view.finish(reply("".join(pieces)))
    assert view.received.text == "".join(pieces)
    assert len(screen.bundles) == len(pieces) + 1


# --- through the magic ----------------------------------------------------------------------------------------------


def test_a_streamed_cell_is_one_display_and_its_updates(viewer, first):
    ran = viewer("%%llx\nhello").fine()
    ids = {output["transient"]["display_id"] for output in ran.shown}
    assert len(ids) == 1
    assert [output["update"] for output in ran.shown] == [False, *[True] * (len(ran.shown) - 1)]
    assert ran.shown[-1]["data"]["text/plain"].startswith("First **says** hello.\n\nfirst (first-model)")


def test_two_cells_have_two_displays(viewer):
    one = viewer("%%llx\nhello").fine().shown[0]["transient"]["display_id"]
    two = viewer("%%llx\nhello").fine().shown[0]["transient"]["display_id"]
    assert one != two


@pytest.mark.parametrize("magic", ["%%llx --no-stream\nhello", "%llx --no-stream hello"])
def test_without_streaming_there_is_exactly_one_output_and_it_is_no_update(viewer, magic):
    ran = viewer(magic).fine()
    assert len(ran.shown) == 1
    assert not ran.shown[0]["update"]
    assert not ran.shown[0]["transient"]
    assert not ran.printed


def test_a_reply_that_broke_off_leaves_nothing_of_it_in_the_final_display(viewer, first):
    first.set_default("text-then-end")
    data = viewer("%%llx\nhello").fine().shown[-1]["data"]
    assert "First" not in data["text/plain"].split("\n\n")[0]
    assert data["text/plain"].startswith("Second says hello.")
    assert "first" in data["text/plain"].split("\n\n")[1]


def test_a_key_that_a_server_repeats_is_in_no_display(viewer, home, first, second, monkeypatch):
    from tests.faults.server import status
    from tests.notebook.kit import write_model

    monkeypatch.setenv("LLX_TEST_KEY", "sk-very-secret-1234567890")
    write_model(home, "first", base_url=first.base_url, auth_key_env="LLX_TEST_KEY")
    viewer("%llx_profile load pair").fine()
    first.set_default(status(401, body={"error": {"message": "wrong key sk-very-secret-1234567890"}}))
    second.set_default("503")
    ran = viewer("%%llx\nhello")
    everything = f"{ran.shown}{ran.printed}{ran.complained}{ran.failure}{viewer.last!r}{viewer.last.trace}"
    assert "401" in everything
    assert "sk-very-secret" not in everything


def test_the_command_line_shows_a_long_remark_whole_since_it_has_no_trace():
    remedy = f"alpha skipped: {'why ' * 30}; set ALPHA_KEY"
    assert "set ALPHA_KEY" not in footer(reply("hi", notes=(remedy,)))
    assert "set ALPHA_KEY" in footer(reply("hi", notes=(remedy,)), longest_note=SHELL_NOTE_LENGTH)
