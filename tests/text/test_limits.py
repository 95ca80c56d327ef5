"""Python's own limits (digits, depth, halves of characters, years, floats) end in one line, and cost no reply."""

from __future__ import annotations

import contextlib
import warnings

import pytest

from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.backends.simulated import simulated_script
from llx_magic.commands.profiles import read_params
from llx_magic.core.message import Message
from llx_magic.core.reply import ChatRequest, Reply
from llx_magic.core.sampling import read_sampling, sampling_of
from llx_magic.errors import LONGEST_LINE, AllBackendsFailed, LlxError, Reason, SettingError, UsageProblem, brief
from llx_magic.notebook.view import shaped
from llx_magic.session.conversations import Conversations
from llx_magic.settings.declaration import setting
from llx_magic.text.blocks import ReplyFormatError, code_of
from llx_magic.text.screen import printable
from llx_magic.text.tables import read_table
from tests.typed import Typed

DIGITS = "9" * 5000
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "said", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\u202eb", "a\ud83db", "a\0b", "a\u2028b", "a\x85b"], ids=ascii
)
def test_an_error_is_one_line_that_any_terminal_and_encoding_takes_whatever_it_quotes(said):
    for error in (LlxError(said), UsageProblem(said), AllBackendsFailed(said, (Reason("a", said),))):
        text = str(error)
        assert len(text.splitlines()) == 1
        assert text.isprintable()
        assert text.encode("utf-8").startswith(b"a ")


def test_an_error_that_quotes_very_much_keeps_its_beginning_and_its_end():
    text = str(UsageProblem("unknown option -" + "x" * 1_000_000 + " (see %llx --help)"))
    assert len(text) == LONGEST_LINE
    assert text.startswith("unknown option -xxx")
    assert text.endswith("xxx (see %llx --help)")


def test_a_help_keeps_its_lines():
    assert len(Typed("set").help().splitlines()) > 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"seed={DIGITS}", "--param seed holds a number of too many digits to be read"),
        (f"seed={DEEP}", "--param seed is nested too deeply to be read"),
        (f'x={{"a":{DIGITS}}}', "--param x holds a number of too many digits to be read"),
    ],
    ids=["digits", "depth", "digits inside"],
)
def test_a_parameter_that_python_cannot_hold_is_one_line(given, said):
    with pytest.raises(UsageProblem) as caught:
        read_params([given])
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": 10**4000},
        {"top_p": 10**4000},
        {"seed": -(10**30)},
        {"temperature": float("inf")},
        {"stop": ["\ud83d"]},
        {"stop": "\ud83d"},
    ],
    ids=ascii,
)
def test_what_is_told_of_a_request_is_json_whatever_its_parameters_are(params):
    assert set(read_sampling(sampling_of(params, json=False))) <= params.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latency_ms", 10**400),
        ("tokens_per_second", 10**400),
        ("prompt_tokens", 10**4000),
        ("completion_tokens", 10**20),
        ("latency_ms", float("inf")),
        ("reply", [10**5000]),
        ("script", {"a": 10**5000}),
        ("rate", 10**5000),
    ],
    ids=["latency", "speed", "tokens", "many tokens", "infinite", "reply", "script", "rate"],
)
def test_a_simulated_model_refuses_what_no_clock_and_no_count_can_hold(name, value):
    with pytest.raises(SettingError) as caught:
        simulated_script({name: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("raw", [10**5000, DIGITS, f"{DIGITS}ms", "\r\n.5", "1e999999", "\ud83d"], ids=lambda raw: "")
def test_a_setting_that_python_cannot_hold_is_one_line(raw):
    with pytest.raises(SettingError) as caught:
        setting("timeout_ms").read(raw)
    assert len(str(caught.value)) < 200
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "body",
    [
        f'{{"error":{{"message":"wait","retryAfterMs":{"9" * 399}}}}}',
        f'{{"error":{{"message":"wait","retry_after":{DIGITS}}}}}',
        f'{{"error":{{"message":"wait","code":{DIGITS},"n_ctx":{"9" * 399},"n_prompt_tokens":{"9" * 399}}}}}',
        '{"error":{"message":"wait","retryDelay":"5\u017f"}}',
        '{"error":{"message":"try again in 5\u017f, or in \u0665\u0665 s"}}',
        f'{{"error":{{"message":"wait","a":{DEEP}}}}}',
        '{"error":{"message":"wait \\ud83d \\u0000"}}',
        '{"error":{"message":"wait","retry_after":-1e999,"retryafter":NaN}}',
    ],
    ids=["wait", "digits", "counts", "long s", "long s in words", "depth", "halves", "no numbers"],
)
@pytest.mark.parametrize("header", ["", DIGITS, "1e999", "-5", "nan", "Fri, 31 Dec 300000 23:59:59 GMT", "9" * 400])
def test_an_error_body_whose_numbers_python_cannot_hold_is_a_failure_like_any_other(body, header):
    headers = {"retry-after": header} if header else {}
    failure = refused(429, headers, read_error(body.encode()), name="alpha", wall_clock=1e9)
    assert failure.message.startswith("429 Too Many Requests")
    assert len(failure.message) < 500
    assert failure.retry_after is None or 0 <= failure.retry_after <= 1e9


@pytest.mark.parametrize(
    "text", [DIGITS, f'{{"a": {DIGITS}}}', DEEP, "[" * 900 + "]" * 900, '"\\ud83d"', "1e999", "\0"]
)
def test_a_reply_that_python_cannot_hold_as_json_is_shown_as_it_is_and_kept(text):
    reply = Reply(
        text=text, backend="a", model="m", usage=None, attempts=1, seconds=1.0, ttft=None, finish_reason="stop"
    )
    assert shaped(reply.text, "json")
    with contextlib.suppress(ReplyFormatError):
        reply.json()
    assert reply.text == text


def test_an_empty_table_in_a_reply_is_one_line():
    with pytest.raises(LlxError, match="the reply holds no table"):
        read_table("```csv\n```")


def test_what_python_finds_odd_about_the_models_code_is_not_told_to_the_user():
    """Nor does it make the code none where the user takes warnings for errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_of("import re\nprint(re.findall('\\d', 1if x else 2))").blocks


@pytest.mark.parametrize(
    "content",
    [
        f'{{"version": {DIGITS}, "turns": []}}',
        f'{{"version": 1, "turns": {DEEP}}}',
        '{"version": 1e999, "turns": []}',
        '{"version": 1, "turns": [{"prompt": "\\ud83d"}]}',
        "\0",
    ],
    ids=["digits", "depth", "exponent", "half", "nul"],
)
def test_a_conversation_that_python_cannot_hold_is_one_line(tmp_path, content):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(UsageProblem) as caught:
        Conversations(tmp_path).get("plan")
    assert len(str(caught.value)) < 600


def test_half_a_character_never_reaches_an_output():
    assert printable("a\ud83db\x1b[31m") == "a\ufffdb"


def test_a_value_of_any_size_is_quoted_briefly():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert brief(10**5000) == "a int too large to be shown"
    assert brief(deep) == "a list too large to be shown"
    assert len(brief("x" * 1_000_000)) == 60


def test_a_prompt_with_half_a_character_is_sent():
    from llx_magic.backends.wires.openai import WIRE

    request = ChatRequest(messages=(Message("user", "a\ud83d"),), params={}, streaming=False)
    assert "a\ufffd" in WIRE.encode(request, "m").body.decode()
