"""``%%llx_map``: the cell is the prompt of every row, the frame is in a variable, nothing is asked twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from llx_magic.errors import LlxError
from llx_magic.notebook.interrupts import Interrupted
from tests.faults.server import FaultServer
from tests.notebook.kit import PlainShell, RedrawingShell, User, opened, write_model, write_simulated

REVIEWS = {"text": ["good", "bad", "so so"], "stars": [5, 1, 3]}


@pytest.fixture
def reviews(user: User) -> User:
    """A shell with a frame of three rows, over one backend on loopback."""
    user("%llx_profile load first").fine()
    user["reviews"] = pd.DataFrame(REVIEWS, index=["x", "y", "z"])
    return user


def prompts(server: FaultServer) -> list[str]:
    """What was asked, in the order in which it arrived."""
    return [request.json["messages"][-1]["content"] for request in server.requests]


# --- what is asked, and what comes back -----------------------------------------------------------------------------


def test_each_row_is_asked_with_its_columns_in_the_prompt(reviews, first):
    reviews("%%llx_map reviews\nRate {{ text }} ({{ stars }} stars).").fine()
    assert sorted(prompts(first)) == ["Rate bad (1 stars).", "Rate good (5 stars).", "Rate so so (3 stars)."]


def test_the_frame_has_the_index_and_the_columns_of_the_data_and_the_replies(reviews):
    reviews("%%llx_map reviews -o rated\nRate {{ text }}.").fine()
    rated = reviews["rated"]
    assert list(rated.index) == ["x", "y", "z"]
    assert list(rated.columns[:3]) == ["text", "stars", "reply"]
    assert set(rated.reply) == {"First **says** hello."}


WITHOUT_A_KEY = "%llx_profile save model keyed --provider openai --model m --key-env NO_SUCH_KEY"


@pytest.mark.parametrize("quiet", ["", " -q"])
def test_a_cell_that_could_ask_nobody_fails_and_leaves_the_variable(reviews, quiet):
    reviews("%%llx_map reviews -o rated\nRate {{ text }}.").fine()
    before = reviews["rated"]
    reviews(WITHOUT_A_KEY).fine()
    ran = reviews(f"%%llx_map reviews -p keyed -o rated{quiet}\nRate {{{{ text }}}}!")
    assert isinstance(ran.error, LlxError)
    assert str(ran.error) == (
        "no reply for 3 of 3 rows: not asked (no key for keyed: set the environment variable NO_SUCH_KEY); "
        "rated is as it was before"
    )
    assert reviews["rated"] is before
    assert reviews["_llx_map"].summary.not_asked == 3


@pytest.mark.parametrize("begins", ["", "reviews = reviews.iloc[:1]; "])
def test_a_cell_all_of_whose_rows_fail_fails(reviews, begins):
    reviews(f"{begins}rated = 1").fine()
    ran = reviews("%%llx_map reviews -o rated\nRate {{ stars / 0 }}.")
    assert str(ran.error).startswith("no reply for ")
    assert str(ran.error).endswith("; rated is as it was before")
    assert "division by zero" in str(ran.error)


def test_a_cell_of_which_one_row_has_a_reply_goes_on(reviews):
    reviews("%%llx_map reviews -o rated\nRate {{ 1 / (stars - 1) }}.").fine()
    assert sorted(reviews["rated"].llx_status) == ["answered", "answered", "failed"]


def test_the_whole_result_is_in_llx_map(reviews):
    reviews("%%llx_map reviews\nRate {{ text }}.").fine()
    assert reviews["_llx_map"].summary.answered == 3


def test_a_prompt_that_names_no_column_is_said(reviews):
    ran = reviews("%%llx_map reviews -o rated\nRate it.").fine()
    assert "the prompt names no column, so all rows ask the same; " in ran.printed


def test_the_same_cell_again_says_how_many_came_from_the_store(reviews, first):
    cell = "%%llx_map reviews\nRate {{ text }}."
    reviews(cell).fine()
    again = reviews(cell).fine()
    assert "3 from the store" in again.printed
    assert len(first.requests) == 3


def test_a_variable_of_the_notebook_stands_behind_the_columns(reviews, first):
    reviews["tone"] = "dry"
    reviews["text"] = "hidden by the column"
    reviews("%%llx_map reviews -n 1\nRate {{ text }} in a {{ tone }} tone.").fine()
    assert prompts(first) == ["Rate good in a dry tone."]


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ('reviews["text"]', ["bad", "good", "so so"]),
        ("reviews.text", ["bad", "good", "so so"]),
        ("reviews[reviews.stars > 2].text", ["good", "so so"]),
        ('"reviews[reviews.stars > 2].text"', ["good", "so so"]),
        ("words", ["one", "two"]),
        ("words[:1]", ["one"]),
        ('["one", "two"]', ["one", "two"]),
        ("lazy", ["l1", "l2"]),
        ("words.txt.csv", ["from a file"]),
    ],
)
def test_the_data_is_any_expression_or_a_file(reviews, first, data, asked, tmp_path, monkeypatch):
    reviews["words"] = ["one", "two"]
    reviews["lazy"] = (f"l{number}" for number in (1, 2))
    monkeypatch.chdir(tmp_path)
    Path("words.txt.csv").write_text("row\nfrom a file\n")
    reviews(f"%%llx_map {data}\n{{{{ row }}}}").fine()
    assert sorted(prompts(first)) == asked


def test_functions_of_the_notebook_are_called_where_that_is_configured(reviews, first):
    reviews["shout"] = str.upper
    assert reviews("%%llx_map reviews\nRate {{ shout(text) }}.").error
    assert not first.requests
    reviews("%config LlxMagics.expressions = 'any'").fine()
    reviews("%%llx_map reviews -n 1\nRate {{ shout(text) }}.").fine()
    assert prompts(first) == ["Rate GOOD."]


def test_a_schema_gives_typed_columns(reviews, first):
    first.text = '{"label": "bug", "urgent": true}'
    reviews["Schema"] = {"label": ["bug", "billing"], "urgent": bool}
    reviews("%%llx_map reviews -o rated --schema Schema\nRate {{ text }}.").fine()
    assert list(reviews["rated"].label) == ["bug"] * 3
    assert reviews["rated"].urgent.dtype == "boolean"


def test_samples_and_a_limit_ask_so_many(reviews, first):
    reviews("%%llx_map reviews -n 2 --samples 3\nRate {{ text }}.").fine()
    assert len(first.requests) == 6


def test_fresh_asks_again(reviews, first):
    reviews("%%llx_map reviews\nRate {{ text }}.").fine()
    reviews("%%llx_map reviews --fresh\nRate {{ text }}.").fine()
    assert len(first.requests) == 6


def test_another_store_knows_nothing_of_ones_own(reviews, first, tmp_path):
    reviews("%%llx_map reviews\nRate {{ text }}.").fine()
    reviews(f"%%llx_map reviews --store {tmp_path / 'other.sqlite'}\nRate {{{{ text }}}}.").fine()
    assert len(first.requests) == 6


def test_a_quiet_cell_shows_nothing(reviews):
    ran = reviews("%%llx_map reviews -q -o rated\nRate {{ text }}.").fine()
    assert (ran.printed, ran.shown, ran.value) == ("", [], None)
    assert len(reviews["rated"]) == 3


def test_a_dry_run_shows_the_first_prompts_and_sends_nothing(reviews, first):
    ran = reviews("%%llx_map reviews --dry-run\nRate {{ text }}.").fine()
    assert "Rate good." in ran.printed
    assert "3 rows: 3 to ask" in ran.printed
    assert not first.requests
    assert "_llx_map" not in reviews


# --- what is refused, with nothing sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%llx_map", "write %%llx_map DATA on the first line of a cell, and below it the prompt of each row"),
        ("%llx_map reviews", "below it the prompt of each row"),
        ("%%llx_map\nRate {{ text }}", "missing: the rows behind %%llx_map"),
        ("%%llx_map reviews\n", "missing: the prompt of each row below it"),
        ("%%llx_map reviews\n  \n", "missing: the prompt of each row below it"),
        ("%%llx_map\n", "missing: the rows behind %%llx_map and the prompt of each row below it"),
        ("%%llx_map reviews\nRate {{ txt }}", "the columns are 'text', 'stars'; nothing was sent; did you mean text?"),
        ("%%llx_map reviews\nRate {{ text", "outside of brackets and quotes (nothing was sent)"),
        ("%%llx_map revews\nRate {{ text }}", "'revews' is not defined; did you mean reviews?"),
        ("%%llx_map [revews, 1]\nRate {{ row }}", "'revews' is not defined; did you mean reviews?"),
        ("%%llx_map reviews.csv\nRate {{ text }}", "reviews.csv"),
        ("%%llx_map load()\nRate {{ text }}", "%%llx_map load()"),
        (
            "%%llx_map reviews more\nRate {{ text }}",
            "unexpected word 'more'; the prompt of each row stands below %%llx_map",
        ),
        ("%llx_map reviews Rate {{ text }}", "unexpected word 'Rate'; the prompt of each row stands below %%llx_map"),
        ("%%llx_map reviews --limit none\n{{ text }}", "--limit must be a whole number, at least 1, got 'none'"),
        ("%%llx_map reviews --samples 0\n{{ text }}", "--samples must be a whole number, at least 1, got '0'"),
        ("%%llx_map reviews --budget -1\n{{ text }}", "--budget must be a positive number, got '-1'"),
        ("%%llx_map reviews --give-up-after nan\n{{ text }}", "--give-up-after must be a positive number, got 'nan'"),
        ("%%llx_map reviews --retry all\n{{ text }}", "--retry must be errors, got 'all'"),
        ("%%llx_map reviews --schema Rating\n{{ text }}", "--schema Rating: there is no such variable"),
        ("%%llx_map reviews -o len\n{{ text }}", "-o len: Python or IPython has something of that name"),
        (
            "%%llx_map reviews --set timeout_ms=abc\n{{ text }}",
            "timeout_ms must be a number of milliseconds, got 'abc'",
        ),
        ("%%llx_map reviews -b third\n{{ text }}", "third"),
        ("%%llx_map reviews --dry-rum\n{{ text }}", "did you mean --dry-run?"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line_and_nothing_is_sent(reviews, first, cell, says):
    ran = reviews(cell)
    assert isinstance(ran.error, LlxError)
    assert says in ran.failure
    assert not first.requests


def test_a_column_that_would_be_overwritten_is_refused_and_a_prefix_mends_it(reviews, first):
    reviews["reviews"] = pd.DataFrame({"text": ["good"], "reply": ["mine"]})
    assert "prefix" in reviews("%%llx_map reviews\nRate {{ text }}.").failure
    assert not first.requests
    reviews("%%llx_map reviews --prefix new_ -o rated\nRate {{ text }}.").fine()
    assert list(reviews["rated"].columns[:3]) == ["text", "reply", "new_reply"]


# --- while it goes on, and where it ends ----------------------------------------------------------------------------


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(reviews, first):
    first.text = "done"
    first.script("ok", "stall")
    first.set_default("stall")
    timer = threading.Thread(target=lambda: first.wait_for_requests(2) and signal.raise_signal(signal.SIGINT))
    timer.start()
    ran = reviews("%%llx_map reviews -o rated --set concurrency=1\nRate {{ text }}.")
    timer.join()
    assert isinstance(ran.error, Interrupted)
    assert "1 of 3 rows are finished and kept; the cell, run again, asks only what has no reply yet" in ran.failure
    assert list(reviews["rated"].llx_status) == ["answered", "not asked", "not asked"]
    first.set_default("ok")
    again = reviews("%%llx_map reviews -o rated\nRate {{ text }}.").fine()
    assert "1 from the store" in again.printed
    assert set(reviews["rated"].reply) == {"done"}


@pytest.fixture
def watcher(home: Path) -> Iterator[User]:
    """A shell that can be redrawn, over a simulated backend on virtual time."""
    write_simulated(home, "clerk", latency_ms=200)
    with opened(RedrawingShell) as shell:
        shell("%llx_profile load clerk").fine()
        shell["words"] = ["one", "two", "three"]
        yield shell


def test_in_a_notebook_the_bar_becomes_the_result_in_one_output(watcher):
    ran = watcher("%%llx_map words\nSay {{ row }}.").fine()
    assert [bundle["update"] for bundle in ran.shown] == [False] + [True] * (len(ran.shown) - 1)
    assert "3 rows · 3 answered" in ran.shown[-1]["data"]["text/html"]
    assert ran.shown[-1]["data"]["text/plain"].startswith("3 rows · 3 answered")
    assert ran.printed == ""


def test_where_nothing_can_be_redrawn_the_result_is_shown_once(watcher):
    watcher("%config LlxMagics.redraw = 'never'").fine()
    ran = watcher("%%llx_map words\nSay {{ row }}.").fine()
    assert [bundle["update"] for bundle in ran.shown] == [False]
    assert ran.printed == ""


def test_in_a_notebook_what_will_cost_much_needs_a_word_of_the_cell(watcher):
    saving = "%llx_profile save model dear --provider simulated --model m --price-input 0 --price-output 100000"
    watcher(saving).fine()
    refused = watcher("%%llx_map words -p dear\nSay {{ row }}.")
    assert "more than ask_above_usd=10; --yes sends them" in refused.printed
    watcher("%%llx_map words -p dear --yes\nSay {{ row }}.").fine()
    assert watcher["_llx_map"].summary.answered == 3


def test_no_control_character_is_printed_where_there_is_no_terminal(reviews):
    ran = reviews("%%llx_map reviews\nRate {{ text }}.").fine()
    assert all(each.isprintable() or each == "\n" for each in ran.printed + ran.complained)


def test_rows_that_were_sent_and_failed_are_values_in_the_variable(reviews, first):
    first.set_default("400")
    reviews["rated"] = 1
    ran = reviews("%%llx_map reviews -o rated\nRate {{ text }}.")
    assert "3 failed" in ran.printed
    assert str(ran.error).startswith("no reply for 3 of 3 rows: first refused the request: 400")
    assert reviews["rated"].llx_error.notna().all()
    assert reviews["rated"].reply.isna().all()


def test_a_map_of_a_profile_that_is_not_loaded_asks_that(home: Path, first):
    write_model(home, "only", base_url=first.base_url)
    with opened(PlainShell) as shell:
        shell["words"] = ["one"]
        shell("%%llx_map words -p only -s brief\nSay {{ row }}.").fine()
    assert [each["role"] for each in first.requests[0].json["messages"]] == ["system", "user"]


def test_a_table_in_the_prompt_of_rows_has_as_many_rows_as_are_configured(reviews, first):
    reviews("import pandas as pd; table = pd.DataFrame({'n': range(900, 930)})").fine()
    reviews("%config LlxMagics.table_rows = 25").fine()
    reviews("%%llx_map reviews --limit 1\n{{ table }} {{ text }}").fine()
    (prompt,) = prompts(first)
    assert "924" in prompt
    assert "925" not in prompt
