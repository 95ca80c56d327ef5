"""A reply as a value: its text, its code, its JSON, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.events import VisitSucceeded
from llx_magic.core.reply import Reply, Usage
from llx_magic.core.trace import Trace
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.frames.frames import reply_frame
from llx_magic.text.blocks import ReplyFormatError, code_of, read_json


def reply(text: str = "Hello.", **facts) -> Reply:
    given = {"backend": "b", "model": "m", "usage": None, "attempts": 1, "seconds": 1.0, "ttft": None}
    return Reply(**{**given, "text": text, "finish_reason": "stop", **facts})


def test_a_reply_is_its_text():
    assert str(reply("one\ntwo")) == "one\ntwo"
    assert f"{reply('x')}" == "x"


def test_a_reply_is_whole_unless_it_holds_an_error():
    assert reply().ok
    assert not reply(error=AllBackendsFailed("nobody", ())).ok


def test_two_replies_are_equal_by_what_they_say_not_by_how_they_came():
    assert reply(trace=Trace(())) == reply(error=None)
    assert reply("a") != reply("b")


def test_a_long_text_is_cut_in_the_repr():
    shown = repr(reply("x" * 5000))
    assert len(shown) < 300
    assert "…" in shown


def test_the_repr_holds_no_control_characters_of_the_model():
    shown = repr(reply("\x1b[31mred\x07\u202e end"))
    assert "\x1b" not in shown
    assert "\\x1b" not in shown
    assert "red end" in shown


def test_the_repr_of_an_incomplete_reply_says_so():
    assert "error=AllBackendsFailed" in repr(reply(error=AllBackendsFailed("nobody", ())))


def test_a_reply_cannot_be_changed():
    with pytest.raises(AttributeError):
        reply().text = "other"


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no code", []),
        ("`inline` only", []),
        ("```python\nx = 1\n```", [("python", "x = 1\n")]),
        ("```Python title\nx = 1\n```", [("python", "x = 1\n")]),
        ("```\nx\n```", [("", "x\n")]),
        ("~~~sh\nls\n~~~", [("sh", "ls\n")]),
        ("````md\n```\ninner\n```\n````", [("md", "```\ninner\n```\n")]),
        ("```a\n1\n```\ntext\n```b\n2\n```", [("a", "1\n"), ("b", "2\n")]),
        ("1. step\n\n   ```sh\n   ls\n   ```\n", [("sh", "ls\n")]),
        ("> ```sh\n> ls\n> ```\n", [("sh", "ls\n")]),
        ("```py\r\nx\r\n```\r\n", [("py", "x\n")]),
        ("```py\nnever closed", [("py", "never closed")]),
        ("```\n```", [("", "")]),
    ],
)
def test_code_blocks_are_those_of_markdown(text, blocks):
    assert [(block.language, block.text.rstrip("\n")) for block in reply(text).code.blocks] == [
        (language, code.rstrip("\n")) for language, code in blocks
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, 2]", [1, 2]),
        ("  \n{}\n", {}),
        ("null", None),
        ('"text"', "text"),
        ("```json\n[1]\n```", [1]),
        ("```JSON\n[1]\n```", [1]),
        ("```\n[1]\n```", [1]),
        ("Sure!\n\n```json\n[1]\n```\n\nAnything else?", [1]),
        ("```python\nx\n```\n```json\n[1]\n```", [1]),
        ('{"a": "```"}', {"a": "```"}),
    ],
)
def test_json_is_the_text_or_its_only_fitting_block(text, value):
    assert reply(text).json() == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the reply is no JSON: Expecting value, line 1, column 1"),
        ("prose", "the reply is no JSON: Expecting value, line 1, column 1"),
        ("[1,\n2,\n}", "the reply is broken JSON: Expecting value, line 3, column 1"),
        ("[1] and more", "the reply is broken JSON: Extra data, line 1, column 5"),
        ("a\n\n```json\n[1,\n```", "the reply is broken JSON: Expecting value, line 5, column 1"),
        ("```json\n[1]\n```\n```json\n[2]\n```", "the reply is no JSON: Expecting value, line 1, column 1"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "a number of too many digits"),
        ('{"a": [' + "9" * 10_000 + "]}", "a number of too many digits"),
        ('{"a":' * 50_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_one_line_that_says_where(text, says):
    with pytest.raises(ReplyFormatError) as caught:
        read_json(text)
    assert says in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(caught.value._render_traceback_()) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("First:\n```python\nx = 1\n```\nthen\n```py\ny = x + 1\n```", "x = 1\n\ny = x + 1"),
        ("```sh\npip install x\n```\n```python\nx = 1\n```\nprints\n```\n1\n```", "x = 1"),
        ("```sh\nls\n```", "ls"),
        ("x = 1\nprint(x)", "x = 1\nprint(x)"),
        ("def f():\n    return 1\n", "def f():\n    return 1"),
        ("Paris, France", ""),
        ("answer: yes", ""),
        ("42", ""),
        ("It is `x`.", ""),
    ],
)
def test_the_code_is_one_text_and_python_alone_where_there_is_python(text, code):
    assert reply(text).code == code


def test_the_code_can_be_executed_as_it_is():
    names: dict[str, object] = {}
    exec(reply("Sure:\n\n```python\ndef double(x):\n    return 2 * x\n```\n```sh\nls\n```").code, names)
    assert names["double"](3) == 6


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ('[{"a": 1, "b": "x"}, {"a": 2, "c": null}]', ["a", "b", "c"], [[1, "x", None], [2, None, None]]),
        ('```json\n{"cities": [{"name": "Oslo"}, {"name": "Bergen"}]}\n```', ["name"], [["Oslo"], ["Bergen"]]),
        ('{"a": [1, 2], "b": [3, 4]}', ["a", "b"], [[1, 3], [2, 4]]),
        ('{"a": 1, "b": "x"}', ["a", "b"], [[1, "x"]]),
        ('["x", "y"]', ["value"], [["x"], ["y"]]),
        ('[{"a": 1},\n{"a": 2}]', ["a"], [[1], [2]]),
        ("See:\n\n| a | n |\n|---|--:|\n| *Oslo* | 1 |\n| `B` | 22 |\n\nDone.", ["a", "n"], [["Oslo", 1], ["B", 22]]),
        ('[{"id": 900719925474099301}, {"id": null}]', ["id"], [[900719925474099301], [None]]),
        ("```csv\nid,x\n007,1.5\n008,2\n```", ["id", "x"], [["007", 1.5], ["008", 2.0]]),
        ('```csv\nname,n\n"a, b",1\n```', ["name", "n"], [["a, b", 1]]),
        ("```tsv\na\tb\n1\t\n2\tx\n```", ["a", "b"], [[1, None], [2, "x"]]),
        ("city,n\nOslo,1\nBergen,2", ["city", "n"], [["Oslo", 1], ["Bergen", 2]]),
        ("| id |\n|---|\n| 12345678901234567890 |", ["id"], [["12345678901234567890"]]),
    ],
)  # fmt: skip
def test_the_table_of_a_reply_is_a_frame(text, columns, rows):
    frame = reply_frame(text)
    assert list(frame.columns) == columns
    assert frame.astype(object).where(frame.notna(), None).values.tolist() == rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no table"),
        ("Hello, world\nBye, all", "holds no table"),
        ("42", "a single JSON value and no table"),
        ("| a |\n|---|\n| 1 |\n\n| b |\n|---|\n| 2 |", "holds 2 tables"),
        ("```csv\na,b\n1,2,3\n```", "row 1 of the reply's table has 3 cells under 2 columns"),
        ("1" * 5000, "holds no table"),
    ],
)
def test_what_is_no_table_is_one_line_that_says_so(text, says):
    with pytest.raises(ReplyFormatError, match=says) as caught:
        reply_frame(text)
    assert "\n" not in str(caught.value)


def test_a_reply_that_was_asked_for_has_a_frame(user, first):
    first.text = "| a |\n|---|\n| 1 |\n"
    assert user("r = %llx hello\nr.frame()").fine().value["a"].tolist() == [1]
    with pytest.raises(ReplyFormatError, match="loaded profile"):
        reply("| a |\n|---|\n| 1 |\n").frame()


@given(st.text())
def test_any_text_has_blocks_and_is_json_or_says_in_one_line_why_not(text):
    code_of(text)
    try:
        read_json(text)
    except ReplyFormatError as problem:
        assert "\n" not in str(problem)  # noqa: PT017 - most texts are none, and a few are


def test_tokens_per_second_are_those_of_the_time_in_which_text_came():
    done = VisitSucceeded(
        at=3.0, request=1, backend="b", attempts=1, seconds=3.0, ttft=1.0, prompt_tokens=5, completion_tokens=40,
        finish_reason="stop", model="m", generating_seconds=2.0, pieces=40,
    )  # fmt: skip
    assert reply(usage=Usage(5, 40), ttft=1.0, trace=Trace((done,))).tokens_per_second == 19.5
    assert reply(usage=None, ttft=1.0, trace=Trace((done,))).tokens_per_second is None
    assert reply(usage=Usage(5, 40)).tokens_per_second is None


def test_a_reply_that_is_the_value_of_a_cell_is_shown_rendered(viewer, first):
    first.text = "**bold** <script>alert(1)</script>"
    viewer("r = %llx hello").fine()
    bundle, _metadata = viewer.shell.display_formatter.format(viewer["r"])
    assert "<strong>bold</strong>" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "text/markdown" not in bundle


def test_an_incomplete_reply_that_is_the_value_of_a_cell_is_marked(viewer, first, second):
    first.set_default("text-then-end")
    second.set_default("503")
    viewer("%%llx\nhello")
    bundle, _metadata = viewer.shell.display_formatter.format(viewer.last)
    assert "incomplete: AllBackendsFailed" in bundle["text/html"]


def test_an_interrupted_reply_names_the_interrupt():
    from llx_magic.notebook.interrupts import Interrupted

    interrupt = Interrupted("the prompt was interrupted")
    assert "error=Interrupted" in repr(reply(error=interrupt))
    assert str(interrupt) == "the prompt was interrupted"
    assert interrupt._render_traceback_() == ["KeyboardInterrupt: the prompt was interrupted"]
