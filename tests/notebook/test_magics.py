"""What the magics take, what they leave behind, and how they refuse."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from llx_magic.commands.table import COMMANDS
from llx_magic.errors import AllBackendsFailed, SettingError, UsageProblem
from llx_magic.notebook.interrupts import Interrupted
from tests.notebook.kit import write_balancer, write_model, write_simulated

MAGICS = (
    "llx", "llx_set", "llx_profile", "llx_stats", "llx_trace", "llx_log", "llx_local", "llx_key", "llx_chat",
    "llx_jobs", "llx_circuit", "llx_map",
)  # fmt: skip


def sent(server, number: int = -1) -> list[tuple[str, str]]:
    """What a backend received: role and text of each message."""
    return [(each["role"], each["content"]) for each in server.requests[number].json["messages"]]


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "what's new in 3.13, and why isn't it \"3.13\"?",
        'say "hello world" twice',
        "an apostrophe' alone",
        "a dash - in the middle -- and two, --bg and -o too",
        "{'a': 1} is a dict, {x} is text, and so is }} alone",
        "a backslash \\n stays \\\\ two",
        "$HOME and $x and `ls` and !ls",
        "ends with a semicolon;",
        "grün, 日本語, 😀",
        "%llx_set is a magic, and %%llx too",
        "a = b == c",
        "#no comment",
    ],
)
def test_a_one_line_prompt_is_sent_as_it_was_typed(user, first, text):
    user(f"%llx {text}").fine()
    assert sent(first) == [("user", text)]


@pytest.mark.parametrize("body", ["two\nlines", "  indented\n\n\nafter blank lines", "%%llx\nnot a magic", "?", "!x"])
def test_a_cell_is_sent_whole(user, first, body):
    user(f"%%llx\n{body}\n").fine()
    assert sent(first)[0][1].rstrip("\n") == body


def test_two_dashes_end_the_options_of_a_one_line_prompt(user, first):
    user("%llx -s brief -- --bg is an option").fine()
    assert sent(first) == [("system", "brief"), ("user", "--bg is an option")]


def test_a_prompt_that_begins_with_a_minus_sign_alone_is_text(user, first):
    user("%llx - a list item").fine()
    assert sent(first) == [("user", "- a list item")]


def test_values_of_the_notebook_go_into_the_prompt(user, first):
    user["x"] = 41
    user("%%llx\nis {{ x + 1 }} prime? {x} is text").fine()
    assert sent(first)[0][1].strip() == "is 42 prime? {x} is text"


def test_raw_sends_double_braces_as_they_are(user, first):
    user("%llx -r {{ nothing }} {% if %}").fine()
    assert sent(first) == [("user", "{{ nothing }} {% if %}")]


def test_a_python_variable_is_not_expanded_by_ipython(user, first):
    user["x"] = 41
    user("%llx is {x} or $x meant").fine()
    assert sent(first) == [("user", "is {x} or $x meant")]


def test_a_system_prompt_goes_before_the_prompt(user, first):
    user('%%llx --system "answer in one word"\nyes or no').fine()
    assert sent(first)[0] == ("system", "answer in one word")


def test_a_parameter_is_for_one_cell_only(user, first):
    user("%%llx --param temperature=0.5 --param stop=null\na").fine()
    user("%%llx\nb").fine()
    assert first.requests[0].json["temperature"] == 0.5
    assert "temperature" not in first.requests[1].json


def test_a_setting_is_for_one_cell_only(user, first):
    user("%%llx --set streaming=disabled\na").fine()
    user("%%llx\nb").fine()
    assert not first.requests[0].json.get("stream")
    assert first.requests[1].json["stream"] is True
    assert "default" in next(line for line in user("%llx_set").fine().printed.splitlines() if "streaming" in line)


def test_a_backend_that_is_pinned_is_asked_alone(user, first, second):
    second.set_default("503")
    ran = user("%%llx -b second\nhello")
    assert isinstance(ran.error, AllBackendsFailed)
    assert not first.requests
    assert len(second.requests) == 1


def test_another_profile_can_be_asked_for_one_cell(user, home, first):
    write_simulated(home, "other", reply="from elsewhere")
    user("%%llx -p other\nhello").fine()
    assert user.last.text == "from elsewhere"
    user("%%llx\nhello").fine()
    assert user.last.backend == "first"
    assert len(first.requests) == 1


# --- what is refused, with nothing sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%llx --no-steam\nhello", "did you mean --no-stream?"),
        ("%llx --formt json hello", "did you mean --format?"),
        ("%%llx --next\nhello", "unknown option --next"),
        (
            "%%llx two words\nhello",
            "unexpected word 'two'; the prompt stands below %%llx, and on one line it is %llx TEXT",
        ),
        ("%%llx -f yaml\nhello", "--format must be markdown, text, code or json, got 'yaml'"),
        ("%%llx -o\nhello", "--out needs a value, VAR"),
        ("%%llx -o not-a-name\nhello", "-o takes the name of a variable, got 'not-a-name'"),
        ("%%llx -o get_ipython\nhello", "-o get_ipython: Python or IPython has something of that name; choose another"),
        ("%%llx -o len\nhello", "-o len: Python or IPython has something of that name; choose another"),
        ("%%llx -o Out\nhello", "-o Out: Python or IPython has something of that name; choose another"),
        ("%%llx -o for\nhello", "-o takes the name of a variable, got 'for'"),
        ("%%llx --set\nhello", "--set needs a value, key=value"),
        ("%%llx --set tpm\nhello", "--set takes key=value, got 'tpm'"),
        ("%%llx --set timeout_ms=abc\nhello", "timeout_ms must be a number of milliseconds, got 'abc'"),
        ("%%llx --set time_out=5\nhello", "time_out"),
        ("%%llx --set circuit_breaker_failure_threshold=1\nhello", "circuit_breaker_failure_threshold"),
        ("%%llx --param temperature\nhello", "temperature"),
        ("%%llx -b thrid\nhello", "has no backend 'thrid'"),
        ("%%llx -p pear\nhello", "pair"),
        ('%%llx -s "open\nhello', "a quote is not closed"),
        ("%%llx\n", "the prompt is empty; nothing was sent"),
        ("%%llx", "the prompt is empty; nothing was sent"),
        ("%%llx -s brief\n   \n", "the prompt is empty; nothing was sent"),
        ("%llx", "the prompt is empty; nothing was sent"),
        ("%llx -s brief", "the prompt is empty; nothing was sent"),
        ("%%llx\n{{ nothing }}", "nothing"),
        ("%%llx\n{{ 1 + }}", "--raw"),
        ("%%llx\n{{ open", "--raw"),
        ("%%llx\n{{ 1 / 0 }}", "zero"),
        ("%%llx --key sk-hidden-secret\nhello", "unknown option --key"),
        ("%llx --key=sk-hidden-secret hello", "unknown option --key"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_and_nothing_is_sent(user, first, second, cell, says):
    ran = user(cell)
    assert isinstance(ran.error, UsageProblem)
    assert says in ran.failure
    assert "sk-hidden-secret" not in ran.failure + ran.printed + ran.complained
    assert not first.requests
    assert not second.requests


@pytest.mark.parametrize(
    "cell",
    [
        "%llx_key set mine sk-hidden-secret",
        "%llx_key set mine --key sk-hidden-secret",
        "%llx_key sk-hidden-secret",
        "%llx_key 'sk-hidden-secret",
    ],
)
def test_a_key_that_is_typed_into_a_cell_is_refused_and_not_repeated(user, cell):
    ran = user(cell)
    assert isinstance(ran.error, UsageProblem)
    assert "sk-hidden-secret" not in ran.failure + ran.printed + ran.complained


def test_an_error_of_a_setting_is_one_line_in_the_magic_too(user):
    ran = user("%llx_set tpm_threshold -500")
    assert isinstance(ran.error, SettingError)
    assert "tpm_threshold must be a positive number, got -500" in ran.failure


# --- what is left behind --------------------------------------------------------------------------------------------


def test_the_reply_is_in_the_variable_that_was_named_and_in_the_usual_one(user):
    user("%%llx -o answer\nhello").fine()
    assert user["answer"] is user.last
    assert user["answer"].text == "First **says** hello."
    assert user["answer"].ok
    assert user["answer"].backend == "first"
    assert user["answer"].usage.total_tokens == 20


def test_a_one_line_prompt_gives_the_reply_as_its_value(user):
    user("r = %llx hello").fine()
    assert user["r"] is user.last


def test_a_cell_has_no_value_of_its_own(user):
    assert user("%%llx\nhello").fine().value is None


def test_a_failure_leaves_the_error_and_the_text_that_had_come(user, first, second):
    first.set_default("text-then-end")
    second.set_default("503")
    ran = user("%%llx -o answer\nhello")
    assert isinstance(ran.error, AllBackendsFailed)
    assert "first" in ran.failure
    assert "second" in ran.failure
    assert user["answer"] is user.last
    assert not user.last.ok
    assert user.last.error is ran.error
    assert user.last.text == ran.error.partial == "First **says** "
    assert user.last.attempts == 2
    assert "failed after" in str(user.last.trace)


def test_a_failure_without_any_text_leaves_an_empty_one(user, first, second):
    first.set_default("503")
    second.set_default("503")
    user("%%llx\nhello")
    assert user.last.text == ""
    assert not user.last.ok


def test_a_failed_cell_does_not_leave_the_reply_of_an_earlier_one(user, first, second):
    user("%%llx -o answer\nhello").fine()
    first.set_default("503")
    second.set_default("503")
    user("%%llx -o answer\nhello")
    assert not user["answer"].ok


def test_a_prompt_that_is_refused_leaves_what_was_there(user):
    user("%%llx\nhello").fine()
    before = user.last
    user("%%llx --no-steam\nhello")
    assert user.last is before


# --- forms of a reply -----------------------------------------------------------------------------------------------

CODE = 'Here:\n\n```python\nprint("<b>1</b>")\n```\n\nand\n\n```sh\nls\n```\n'


def final(ran) -> dict[str, str]:
    """What the cell shows at its end."""
    return ran.fine().shown[-1]["data"]


@pytest.mark.parametrize(
    ("form", "text", "plain", "rendered"),
    [
        ("markdown", "**bold**", "**bold**", "<strong>bold</strong>"),
        ("text", "**bold** <b>x</b>", "**bold** <b>x</b>", "**bold** &lt;b&gt;x&lt;/b&gt;"),
        ("json", '{"b": [1, "grün"]}', '{\n  "b": [\n    1,\n    "grün"\n  ]\n}', "<pre><code>"),
        ("json", 'Sure:\n```json\n{"a": 1}\n```\n', '{\n  "a": 1\n}', "<pre><code>"),
    ],
)
def test_a_reply_is_shown_in_the_form_that_was_asked_for(viewer, first, form, text, plain, rendered):
    first.text = text
    data = final(viewer(f"%%llx -f {form}\nhello"))
    assert data["text/plain"].startswith(plain + "\n\nfirst (")
    assert rendered in data["text/html"]


def test_the_form_of_code_shows_the_blocks_alone(viewer, first):
    first.text = CODE
    data = final(viewer("%%llx -f code\nhello"))
    assert "Here" not in data["text/plain"]
    assert 'print("<b>1</b>")' in data["text/plain"]
    assert "ls" in data["text/plain"]
    assert "<b>" not in data["text/html"]


def test_the_form_of_code_shows_a_reply_without_any_as_it_is(viewer, first):
    first.text = "no code here"
    assert final(viewer("%%llx -f code\nhello"))["text/plain"].startswith("no code here")


def test_a_block_that_holds_a_fence_is_shown_whole_in_the_form_of_code(viewer, first):
    first.text = "````markdown\n```python\nx = 1\n```\n````\n"
    data = final(viewer("%%llx -f code\nhello"))
    assert "<p>" not in data["text/html"]
    assert data["text/html"].count("<pre>") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no JSON at all", "the reply is no JSON: Expecting value, line 1, column 1"),
        ('{"a": 1,\n "b": }', "the reply is broken JSON: Expecting value, line 2, column 7"),
        ('Sure:\n\n```json\n{"a": 1,\n "b": }\n```\n', "the reply is broken JSON: Expecting value, line 5, column 7"),
    ],
)
def test_json_that_is_none_is_an_error_which_says_where_and_the_reply_stays(viewer, first, text, says):
    first.text = text
    ran = viewer("%%llx -f json -b first -o answer\nhello")
    assert says in ran.failure
    assert viewer["answer"].text == text
    assert text.splitlines()[0] in ran.shown[-1]["data"]["text/plain"]


def test_code_goes_into_a_new_cell(user, first):
    first.text = CODE
    user("%%llx --next-cell\nhello").fine()
    assert user.shell.rl_next_input == 'print("<b>1</b>")\n\nls'


def test_a_cell_that_runs_again_makes_no_second_cell_of_the_same_code(viewer, first):
    first.text = CODE
    made = []
    for text in (CODE, CODE, CODE, CODE.replace("ls", "pwd")):
        first.text = text
        viewer.shell.rl_next_input = None
        ran = viewer("%%llx --next-cell\nhello").fine()
        made.append(viewer.shell.rl_next_input is not None)
        assert ("holds the same code" in ran.printed) is not made[-1]
    assert made == [True, False, True, True]


def test_another_cell_makes_a_cell_of_the_same_code_too(viewer, first):
    first.text = CODE
    for cell in ("a", "b"):
        viewer.shell.kernel.cell = cell
        viewer.shell.rl_next_input = None
        viewer("%%llx --next-cell\nhello").fine()
        assert viewer.shell.rl_next_input


def test_no_new_cell_is_made_where_there_is_no_code_and_the_reply_stays(user, first):
    first.text = "no code here"
    ran = user("%%llx --next-cell\nhello")
    assert "the reply holds no code block" in ran.failure
    assert user.last.text == "no code here"
    assert not getattr(user.shell, "rl_next_input", None)


def test_code_for_a_new_cell_holds_no_control_characters(user, first):
    first.text = "```python\nx = 1\u202e\x1b[2J\n```\n"
    user("%%llx --next-cell\nhello").fine()
    assert user.shell.rl_next_input == "x = 1"


# --- a dry run ------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_prompt_and_order_and_sends_nothing(user, first, second):
    user["x"] = 6
    ran = user('%%llx --dry-run -s "be brief"\n6 times {{ x }}').fine()
    assert "[system]\nbe brief" in ran.printed
    assert "[user]\n6 times 6" in ran.printed
    order = [line.split() for line in ran.printed.splitlines() if line.startswith("  ")]
    assert [words[:2] for words in order] == [["1.", "first"], ["2.", "second"]]
    assert all(len(words) > 2 for words in order)
    assert not first.connections
    assert not second.connections
    assert "_llx" not in user


def test_a_dry_run_names_the_reason_why_a_backend_would_be_passed_over(user, home, first):
    write_model(home, "first", base_url=first.base_url, auth_key_env="LLX_TEST_NO_SUCH_KEY")
    user("%llx_profile load pair").fine()
    line = next(each for each in user("%llx --dry-run hello").fine().printed.splitlines() if "1. first" in each)
    assert "skipped" in line
    assert "LLX_TEST_NO_SUCH_KEY" in line


def test_a_dry_run_says_which_circuit_is_open(user, first):
    user("%llx_set circuit_breaker_failure_threshold 1").fine()
    first.set_default("503")
    user("%%llx\nhello").fine()
    line = next(each for each in user("%llx --dry-run hello").fine().printed.splitlines() if "1. first" in each)
    assert "circuit" in line
    assert len(first.requests) == 1


def test_a_dry_run_of_what_is_wrong_is_as_wrong(user):
    assert "nothing was sent" in user("%llx --dry-run {{ nothing }}").failure


# --- help -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", MAGICS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_magic_prints_its_help_and_does_nothing_else(user, first, magic, option):
    ran = user(f"%{magic} {option}").fine()
    assert f"%{magic}" in ran.printed
    assert "usage" in ran.printed.lower()
    assert not first.requests


@pytest.mark.parametrize("magic", MAGICS)
def test_every_magic_refuses_an_option_that_does_not_exist(user, magic):
    assert f"%{magic} --help" in user(f"%{magic} --no-such-option").failure


def test_help_of_a_prompt_cell_is_printed_even_without_a_prompt(user, first):
    assert "--no-stream" in user("%%llx --help\n").fine().printed
    assert "--no-stream" in user("%%llx --help").fine().printed
    assert not first.requests


def test_every_option_of_a_prompt_is_in_its_help(user):
    printed = user("%%llx --help\nx").fine().printed
    for option in (
        "--profile", "--backend", "--out", "--format", "--system", "--bg", "--set", "--param", "--chat",
        "--no-stream", "--raw", "--next-cell", "--dry-run", "--help",
    ):  # fmt: skip
        assert option in printed


def test_a_word_of_help_in_a_prompt_is_text(user, first):
    user("%llx explain --help of ls").fine()
    assert sent(first) == [("user", "explain --help of ls")]


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_cell_is_stateless_unless_it_names_a_conversation(user, first):
    user("%%llx\none").fine()
    user("%%llx\ntwo").fine()
    assert [role for role, _text in sent(first)] == ["user"]


def test_a_conversation_carries_what_was_said(user, first):
    user("%%llx --chat trip\none").fine()
    user("%%llx --chat trip\ntwo").fine()
    assert [(role, text.strip()) for role, text in sent(first)] == [
        ("user", "one"), ("assistant", "First **says** hello."), ("user", "two"),
    ]  # fmt: skip


def test_a_line_that_continues_the_sessions_own_conversation_says_how_a_name_is_given(user):
    for done in ("began", "continued"):
        user("%llx --chat tale Once upon a time").fine()
        assert f"{done} the session's own conversation; --chat=NAME takes another" in user.last.notes
    user("%llx --chat=tale Once upon a time").fine()
    assert user.last.notes == ()


def test_a_failed_prompt_is_not_part_of_its_conversation(user, first, second):
    first.script("503")
    second.script("503")
    user("%%llx --chat trip\none")
    user("%%llx --chat trip\ntwo").fine()
    assert [role for role, _text in sent(first)] == ["user"]


# --- which profile --------------------------------------------------------------------------------------------------


def test_without_a_loaded_profile_the_variable_names_one(viewer, home, monkeypatch):
    write_simulated(home, "named", reply="named")
    monkeypatch.setenv("LLX_PROFILE", "named")
    viewer("%reload_ext llx_magic").fine()
    viewer("%%llx\nhello").fine()
    assert viewer.last.backend == "named"


def test_without_the_variable_the_default_profile_is_asked(viewer, home):
    write_simulated(home, "usual", reply="usual")
    viewer("%llx_profile set-default usual").fine()
    viewer("%reload_ext llx_magic").fine()
    viewer("%%llx\nhello").fine()
    assert viewer.last.backend == "usual"


def test_the_variable_goes_before_the_default_profile(viewer, home, monkeypatch):
    write_simulated(home, "usual", reply="usual")
    write_simulated(home, "named", reply="named")
    viewer("%llx_profile set-default usual").fine()
    viewer("%reload_ext llx_magic").fine()
    monkeypatch.setenv("LLX_PROFILE", "named")
    viewer("%%llx\nhello").fine()
    assert viewer.last.backend == "named"


def test_with_nothing_at_all_and_no_model_fetched_one_line_says_what_to_type(viewer, tmp_path, monkeypatch):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path / "cache"))
    viewer("%reload_ext llx_magic").fine()
    assert "%llx_local pull" in viewer("%%llx\nhello").failure


# --- values that are shown ------------------------------------------------------------------------------------------


def test_statistics_as_an_expression_have_a_frame(user):
    user("%%llx\nhello").fine()
    user("s = %llx_stats lb").fine()
    assert user["s"].frame.loc["first", "requests"] == 1
    assert "Load Balancer" in repr(user["s"]) or "first" in repr(user["s"])


def test_the_trace_of_the_last_request_is_shown(user, first):
    first.set_default("503")
    user("%%llx\nhello").fine()
    shown = repr(user("%llx_trace").fine().value)
    assert "answered by second" in shown
    assert "first" in shown


def test_the_log_prints_debug_lines(user):
    user("%%llx\nhello").fine()
    assert "[LB:failover] Trying backend: first (attempt 1/1)" in user("%llx_log").fine().printed


def test_debug_lines_are_on_stderr_where_the_variable_asks_for_them(user, monkeypatch):
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    ran = user("%%llx\nhello").fine()
    assert ran.complained.count("[LB:failover] Trying backend: first (attempt 1/1)") == 1
    assert "[LB" not in ran.printed


def test_a_variable_that_makes_no_sense_is_named_once(user, monkeypatch):
    monkeypatch.setenv("LLXPRT_DEBUG", "1")
    assert user("%%llx\nhello").fine().complained.startswith("llx: LLXPRT_DEBUG takes patterns of llxprt:lb and")
    assert user("%llx_status").fine().complained == ""


def test_preferences_can_be_configured(viewer):
    viewer("%config LlxMagics.footer = False").fine()
    viewer("%config LlxMagics.stream = False").fine()
    ran = viewer("%%llx\nhello").fine()
    assert len(ran.shown) == 1
    assert ran.shown[0]["data"]["text/plain"] == "First **says** hello."


@pytest.mark.parametrize(
    ("value", "line"),
    [("True", "first (first-model) · "), ("'full'", "first (first-model) · "), ("'stable'", "finish stop"),
     ("'none'", None), ("False", None)],
)  # fmt: skip
def test_the_line_below_a_reply_is_full_stable_or_none(viewer, value, line):
    viewer(f"%config LlxMagics.footer = {value}").fine()
    plain = viewer("%%llx\nhello").fine().shown[-1]["data"]["text/plain"]
    assert (line in plain) if line else plain == "First **says** hello."


def test_the_line_says_how_the_profile_is_where_it_is_to_and_the_first_backend_did_not_answer(viewer, home):
    write_simulated(home, "down", script="503", cycle=True)
    write_simulated(home, "up", latency_ms=1000)
    write_balancer(home, "pair", ["down", "up"], failover_retry_count=1)
    viewer("%config LlxMagics.footer = 'status'").fine()
    viewer("%llx_profile load pair").fine()
    shown = viewer("%%llx\nhello").fine().shown[-1]["data"]["text/plain"]
    assert shown.endswith("down is failing: 503 once. up answers instead (half within 1 s).")
    assert viewer.last.notes[-1] in shown
    viewer("%llx_profile load up").fine()
    assert "answers" not in viewer("%%llx\nhello").fine().shown[-1]["data"]["text/plain"].partition("·")[2]


def test_the_status_is_a_sentence_and_a_line_for_each_backend(user, home):
    write_model(home, "keyless", base_url="https://api.example.com/v1", auth_keyfile="/nowhere/key")
    write_model(home, "up", provider="simulated")
    write_balancer(home, "pair", ["keyless", "up"])
    user("%llx_profile load pair").fine()
    status = user("%llx_status").fine().value
    assert repr(status).startswith("pair: keyless cannot be asked: key missing")
    assert "up is asked instead; it has not answered yet." in repr(status)
    assert "not asked yet" in status._repr_html_()
    assert list(status.frame.index) == ["keyless", "up"]


def test_statistics_have_the_sentence_above_their_table_and_the_fixed_layout_as_it_is(user):
    user("%%llx\nhello").fine()
    stats = user("%llx_stats").fine().value
    assert "first answers" in stats._repr_html_().partition("<table")[0]
    assert "answers" not in repr(stats)


def test_an_unknown_kind_of_footer_is_refused_and_changes_nothing(viewer):
    viewer("%config LlxMagics.footer = 'loud'")
    assert viewer("%config LlxMagics.footer").value == "full"


@pytest.mark.parametrize("refused", ["footer = 'loud'", "table_rows = 0", "stream = 'maybe'"])
def test_a_value_that_was_refused_is_left_out_in_one_line_when_the_magics_are_loaded_again(viewer, refused):
    name = f"LlxMagics.{refused.split()[0]}"
    viewer(f"%config LlxMagics.{refused}")
    ran = viewer("%reload_ext llx_magic").fine()
    assert ran.complained.count("\n") == 1
    assert ran.complained.startswith(f"llx: {name} is left out of the configuration: The ")
    viewer("%llx --help").fine()


def test_what_was_configured_beside_a_refused_value_holds_when_the_magics_are_loaded_again(viewer):
    viewer("%config LlxMagics.footer = 'loud'")
    viewer("%config LlxMagics.table_rows = 7").fine()
    viewer("%reload_ext llx_magic").fine()
    assert viewer("%config LlxMagics.table_rows").value == 7


def test_no_magic_imports_what_only_plots_and_widgets_need(user):
    before = {"matplotlib", "ipywidgets"} & set(sys.modules)
    for magic in MAGICS[1:]:
        user(f"%{magic} --help").fine()
    assert {"matplotlib", "ipywidgets"} & set(sys.modules) == before


# --- interrupts -----------------------------------------------------------------------------------------------------


def test_an_interrupt_of_a_magic_that_waits_is_told_in_one_line(user, first, second):
    for each in (first, second):
        each.set_default("stall")
    timer = threading.Thread(target=lambda: first.wait_for_requests(1) and signal.raise_signal(signal.SIGINT))
    timer.start()
    ran = user("%llx_profile test")
    timer.join()
    assert ran.failure == "KeyboardInterrupt: %llx_profile was interrupted"


@pytest.mark.parametrize("name", ["replay", "tune", "map", "models"])
def test_an_interrupt_of_whatever_a_magic_does_names_the_magic(user, name):
    notebook = user.shell.magics_manager.registry["LlxMagics"].notebook
    with pytest.raises(Interrupted, match=f"^%llx_{name} was interrupted$"):
        notebook.run(COMMANDS[name]._replace(module="tests.notebook.stopped", cell=False), "")
