"""A prompt reaches its magic exactly as typed, whatever IPython would make of such a line; all else is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from llx_magic.notebook.transform import hand_over_empty_cells, hand_over_prompts, taken_for_help
from tests.notebook.kit import PlainShell, opened
from tests.notebook.test_magics import sent


def python_of(cell: str) -> str:
    """Return the Python that IPython runs for a cell."""
    manager = TransformerManager()
    manager.cleanup_transforms.append(hand_over_prompts)
    return manager.transform_cell(cell)


def prompts(server) -> list[str]:
    """The prompts a backend has received."""
    return [sent(server, number)[-1][1] for number in range(len(server.requests))]


@pytest.mark.parametrize(
    "text",
    [
        "why is it so?",
        "why??",
        "is it, ?",
        "why is 'it' so?",
        "why `is` it?",
        "what does a\\b mean",
        "a trailing backslash \\",
        "C:\\new\\table?",
        "grün, 日本語, 😀?",
        "ends in a semicolon;",
        "?",
        "a # that begins nothing",
        'a """ that opens nothing',
        "it's ''' too",
        "f(x) = {x}",
        "[1, 2",
        "a = b",
    ],
)
@pytest.mark.parametrize("target", ["", "r = "])
def test_whatever_a_prompt_ends_in_it_is_a_prompt(user, first, text, target):
    user(f"{target}%llx {text}").fine()
    assert prompts(first) == [text]


@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        ("%load_ext llx_magic\n%llx why?\n", "%llx why?"),
        ("%load_ext llx_magic\nr = %llx why is it so?", "r = %llx why is it so?"),
        ("%load_ext llx_magic\nif True:\n    %llx_set timeout_ms?", "%llx_set timeout_ms?"),
        ("%load_ext llx_magic\n%llx tell me why", None),
        ("%load_ext llx_magic\n%llx?", None),
        ("%load_ext llx_magic\ntext = '''\n%llx why?\n'''", None),
        ("", None),
    ],
)
def test_a_question_in_the_cell_that_loads_the_extension_is_known_to_be_taken_for_help(cell, prompt):
    assert taken_for_help(cell) == prompt


def test_the_cell_that_loads_the_extension_says_which_question_ipython_takes_for_help():
    with opened(PlainShell) as user:
        user("%unload_ext llx_magic").fine()
        ran = user("%load_ext llx_magic\n%llx why?").fine()
        assert ran.complained.startswith("llx: IPython takes '%llx why?' for a call for help, since it read this cell")
        assert "call for help" not in user("%reload_ext llx_magic\n%llx_set no_setting?").complained


@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        ("%llx tell me \\\n  more", "tell me more"),
        ("%llx one\\\ntwo \\\nthree?", "one two three?"),
        ("r = %llx why is \\\n    it so?", "why is it so?"),
        ("if True:\n    %llx why \\\n        not\n    x = 1", "why not"),
        ("%llx the end \\\n", "the end \\"),
    ],
)
def test_a_backslash_continues_a_prompt_on_the_next_line(user, first, cell, prompt):
    user(cell).fine()
    assert prompts(first) == [prompt]


def test_an_error_below_a_continued_prompt_names_the_line_that_was_typed():
    lines = python_of("%llx a \\\nb\nx = 1").splitlines()
    assert lines[2] == "x = 1"


@pytest.mark.parametrize("cell", ["%%llx", "%%llx -p x", "%%llx --chat", "%%llx -p x\nwhy"])
def test_a_cell_that_has_only_begun_is_incomplete_as_for_any_cell_magic(user, cell):
    assert user.shell.check_complete(cell)[0] == "incomplete" == user.shell.check_complete("%%time")[0]


@pytest.mark.parametrize("cell", ["%%llx", "%%llx\n", "%%llx -b a\n\n", "%%llx --set timeout_ms=5\n  \n"])
def test_an_empty_cell_is_an_error_of_one_line(user, first, cell):
    assert user(cell).failure == "UsageProblem: the prompt is empty; nothing was sent"
    assert not first.requests


def test_another_magics_empty_cell_is_left_to_it():
    lines = ["get_ipython().run_cell_magic('other', '', '')\n"]
    assert hand_over_empty_cells(lines) == lines


def test_a_question_in_a_loop_is_asked_each_time(user, first):
    user("for i in range(2):\n    %llx is {{ i }} even?\n    r = %llx and odd?").fine()
    assert prompts(first) == ["is 0 even?", "and odd?", "is 1 even?", "and odd?"]


def test_a_question_in_a_condition_is_asked_only_where_it_holds(user, first):
    user("if False:\n    %llx a?\nelse:\n    %llx b?").fine()
    assert prompts(first) == ["b?"]


def test_a_question_in_a_function_is_asked_when_it_is_called(user, first):
    user("def ask():\n    reply = %llx why?\n    return reply.text").fine()
    assert not first.requests
    assert user("ask()").fine().value == "First **says** hello."


def test_several_questions_in_one_cell_are_several_prompts(user, first):
    user("x = 1\n%llx a?\ny = 2\n%llx b?\nz = x + y").fine()
    assert prompts(first) == ["a?", "b?"]
    assert user["z"] == 3


def test_an_annotated_or_attribute_target_takes_the_reply(user):
    user("class Box: pass\nbox = Box()\nd = {}").fine()
    user("box.reply = %llx hello there").fine()
    user("d['a'] = %llx hello there").fine()
    assert user["box"].reply.ok
    assert user["d"]["a"].ok


@pytest.mark.parametrize("target", ["box.reply", "d['a']", "d[-1]", "größe", "x: object", "x: list[int]"])
def test_any_target_takes_the_reply_of_a_question(user, first, target):
    user("class Box: pass\nbox = Box()\nd = {}").fine()
    user(f"{target} = %llx why is it so?").fine()
    assert prompts(first) == ["why is it so?"]


def test_a_statement_does_not_show_its_reply_a_second_time(user):
    assert user("%llx why?").fine().printed.count("hello") == 1
    assert user("%llx tell me").fine().printed.count("hello") == 1


def test_the_last_statement_of_several_does_not_show_its_reply_a_second_time(user):
    assert user("x = 1\n%llx tell me").fine().printed.count("hello") == 1


def test_an_assigned_reply_can_be_shown_by_its_name(user):
    assert user("r = %llx why?\nr").fine().value.text == "First **says** hello."


def test_a_setting_can_be_looked_up_with_a_question_mark_as_its_value(user):
    assert "timeout_ms?" in user("%llx_set timeout_ms?").failure


def test_a_setting_in_a_cell_of_several_lines_is_set(user):
    user("%llx_set timeout_ms 5000\n%llx_set tpm_threshold 1").fine()
    printed = user("%llx_set").fine().printed
    assert "5000" in next(line for line in printed.splitlines() if line.startswith("timeout_ms"))


@pytest.mark.parametrize("cell", ["%llx?", "%llx??", "?%llx", "%%llx?", "%llx_set?", "?%llx_set"])
def test_a_question_mark_at_the_name_itself_is_help(cell):
    assert "pinfo" in python_of(cell)


@pytest.mark.parametrize(
    "cell",
    [
        'text = """\n%llx why?\n"""',
        "text = '''\nr = %llx why?\n'''\n",
        'def f():\n    """Say\n\n    %llx why?\n    """\n',
        'a = "#"; text = """ # not a comment\n%llx why?\n"""',
        "a = '\\''; b = '''\n%llx why?\n'''",
        'text = (\n    "x"\n    """\n%llx why?\n""")',
    ],
)
def test_a_prompt_inside_a_string_is_a_string(user, first, cell):
    namespace: dict[str, object] = {}
    exec(python_of(cell), namespace)
    wanted: dict[str, object] = {}
    exec(cell, wanted)
    assert namespace.get("text") == wanted.get("text")
    assert not first.requests


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = '''a''' + \"b\"", "y = 1"),
        ("# it's a comment with '''", "y = 1"),
        ("x = \"'''\"", "y = 1"),
        ("x = 'it\\'s'", "y = '''z'''"),
        ("x = r'\\\\'", "y = 1"),
    ],
)
def test_a_string_that_has_ended_hides_no_prompt(user, first, before, after):
    user(f"{before}\n%llx why?\n{after}").fine()
    assert prompts(first) == ["why?"]


def test_a_file_that_is_written_by_a_cell_holds_the_prompt_as_it_stands(user, tmp_path, first):
    target = tmp_path / "script.ipy"
    user(f"%%writefile {target}\nr = %llx why?\n%llx_set x?\n").fine()
    assert target.read_text() == "r = %llx why?\n%llx_set x?\n"
    assert not first.requests


@pytest.mark.parametrize("magic", ["%%time", "%%capture out"])
def test_a_prompt_in_a_cell_of_another_magic_is_asked(user, first, magic):
    user(f"{magic}\nr = %llx why is it so").fine()
    assert prompts(first) == ["why is it so"]


@pytest.mark.parametrize("magic", ["%%time", "%%capture out"])
def test_a_question_in_a_cell_of_another_magic_is_asked(user, first, magic):
    user(f"{magic}\n%llx why is it so?").fine()
    assert prompts(first) == ["why is it so?"]


def test_another_line_magic_in_front_does_not_hide_a_question(user, first):
    user("%time r = 1\n%llx why?").fine()
    assert prompts(first) == ["why?"]


def test_a_cell_keeps_its_own_lines(user, first):
    user("%%llx\n%llx why?\nr = %llx_set x?").fine()
    assert prompts(first)[0].strip() == "%llx why?\nr = %llx_set x?"


def test_a_blank_line_before_a_cell_magic_changes_nothing(user, first):
    user("\n\n%%llx\n%llx why?").fine()
    assert prompts(first)[0].strip() == "%llx why?"


@pytest.mark.parametrize(
    "cell",
    [
        "d['= %llx why?'] = 1",
        'x = "%llx why?"',
        "%llx_stats lb",
        "%llxs why?",
        "x = 5 %llx",
        "%%llx_other\nx",
        "# %llx why?",
    ],
)
def test_other_lines_are_left_alone(cell):
    assert hand_over_prompts(cell.splitlines(keepends=True)) == cell.splitlines(keepends=True)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_any_text_in_one_line_becomes_one_call_with_that_text(text):
    stripped = text.strip()
    if not stripped:
        return
    calls: list[tuple[str, str]] = []

    class Shell:
        def run_line_magic(self, name: str, line: str) -> None:
            calls.append((name, line))

    source = "".join(hand_over_prompts([f"r = %llx {stripped}\n"]))
    exec(source, {"get_ipython": Shell})
    assert calls == [("llx", stripped)]


@given(st.lists(st.text("ab'\"\\#%= \t", max_size=12), max_size=8))
def test_lines_without_a_prompt_are_never_changed(texts):
    lines = [f"{text}\n" for text in texts]
    assert hand_over_prompts(lines) == lines
