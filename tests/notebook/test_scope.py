"""Which variables a prompt sees: those of the code that asks it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import types

import pytest

from tests.notebook.test_magics import sent

ASK = 'get_ipython().run_cell_magic("llx", "", "about {{ topic }}")'


def asked(server) -> str:
    return sent(server)[-1][1]


@pytest.mark.parametrize(
    "ask",
    [
        ASK,
        'get_ipython().run_line_magic("llx", "about {{ topic }}")',
        "%llx about {{ topic }}",
        "_r = %llx about {{ topic }}",
        f"[{ASK} for _i in range(1)]",
        f"{{{ASK}: 1 for _i in range(1)}}",
        f"(lambda topic: {ASK})(topic)",
    ],
)
def test_a_prompt_in_a_function_sees_the_argument_and_not_the_global(user, first, ask):
    user["topic"] = "the global"
    user(f"def f(topic):\n    {ask}\nf('the argument')").fine()
    assert asked(first) == "about the argument"


def test_a_loop_variable_of_a_comprehension_is_seen(user, first):
    user["topic"] = "the global"
    user(f"_all = [{ASK} for topic in ['the item']]").fine()
    assert asked(first) == "about the item"


def test_a_function_sees_the_notebooks_variables_too(user, first):
    user["topic"] = "the global"
    user(f"def f():\n    {ASK}\nf()").fine()
    assert asked(first) == "about the global"


def test_a_variable_of_an_outer_function_is_seen_where_the_inner_one_uses_it(user, first):
    user("def f(topic):\n    def g():\n        topic\n        " + ASK + "\n    g()\nf('outer')").fine()
    assert asked(first) == "about outer"


def test_a_function_of_another_module_sees_the_globals_of_that_module_first(user, first):
    module = types.ModuleType("helpers")
    user["topic"] = "the notebook's"
    module.topic, module.get_ipython = "the module's", lambda: user.shell
    exec(f"def f():\n    {ASK}", vars(module))
    user["f"] = module.f
    user("f()").fine()
    assert asked(first) == "about the module's"


def test_a_prompt_under_time_sees_the_notebooks_variables(user, first):
    user["topic"] = "the global"
    user(f"%time {ASK}").fine()
    assert asked(first) == "about the global"


def test_micro_sign_and_mu_are_one_name(user, first):
    """As they are to Python, whose parser folds them to one form (PEP 3131)."""
    user("µ = 3").fine()
    user("%llx {{ \u00b5 }} {{ \u03bc }}").fine()
    assert asked(first) == "3 3"


@pytest.mark.parametrize(("kept", "read"), [("\u00b5r", "\u03bcr"), ("\u03bcr", "\u00b5r"), ("ﬁt", "fit"), ("x²", "")])
def test_a_reply_is_kept_under_the_name_that_python_reads(user, first, kept, read):
    ran = user(f"%%llx -o {kept}\nhello")
    if not read:
        assert "-o takes the name of a variable" in ran.failure
        return
    ran.fine()
    user(f"assert {kept}.text == {read}.text").fine()
    user(f"%llx again: {{{{ {read} }}}}").fine()
    assert asked(first).startswith("again: ")


def test_a_reply_asked_for_in_a_function_is_kept_in_the_notebook_which_the_notes_say(user, first):
    user("def f():\n    get_ipython().run_cell_magic('llx', '-o kept', 'hello')\nf()").fine()
    assert user["kept"].notes == ("kept is a variable of the notebook, not of f()",)
    user("%%llx -o kept\nhello").fine()
    assert user["kept"].notes == ()


def test_what_who_hides_is_no_variable(user):
    ran = user("%llx {{ In }}")
    assert "'In' is not defined" in ran.failure
    user("In = 5\n").fine()
    user("%llx --dry-run {{ In }}").fine()


@pytest.mark.parametrize("name", ["get_ipython", "exit", "quit", "open", "__import__", "_ih", "_dh", "__builtins__"])
def test_a_prompt_reaches_nothing_of_ipython(user, first, name):
    for text in (f"{{{{ {name} }}}}", f"{{{{ {name}('x') }}}}"):
        assert "(nothing was sent)" in user(f"%llx {text}").failure
    assert not first.connections


def test_the_last_output_and_the_last_reply_are_data(user, first):
    user("40 + 2").fine()
    user.shell.push({"_": 42, "_3": 41}, interactive=False)  # as IPython's own display hook does
    user("%llx {{ _ }} {{ _3 }}").fine()
    assert asked(first) == "42 41"
    user("%llx {{ _llx }}").fine()


def test_a_call_of_the_notebooks_own_is_refused_and_any_allows_it(user, first):
    user("def f():\n    return 'made'").fine()
    assert "assign it first, for example x = f(), then {{ x }}" in user("%llx {{ f() }}").failure
    assert not first.connections
    user("%config LlxMagics.expressions = 'any'").fine()
    user("%llx {{ f() }}").fine()
    assert asked(first) == "made"


@pytest.mark.parametrize("option", ["", "--dry-run "])
def test_a_dry_run_evaluates_no_more_than_a_prompt(user, tmp_path, option):
    made = tmp_path / "made"
    user["path"] = pathlib.Path(made)
    assert "assign it first" in user(f"%llx {option}{{{{ path.touch() }}}}").failure
    assert not made.exists()


def test_what_was_cut_is_in_the_replys_notes_and_in_a_dry_run(user, first):
    user("import pandas as pd; df = pd.DataFrame({'a': range(500)})").fine()
    user("%%llx -o r\n{{ df }}").fine()
    note = "df: 20 of 500 rows sent (%config LlxMagics.table_rows)"
    assert user["r"].notes == (note,)
    assert f"note: {note}" in user("%llx --dry-run {{ df }}").fine().printed
    user("%config LlxMagics.table_rows = 500").fine()
    user("%%llx -o r\n{{ df }}").fine()
    assert user["r"].notes == ()


EMBEDDED = """
import IPython, os, sys
topic = "the global"
def f(topic):
    IPython.embed(colors="NoColor", display_banner=False, confirm_exit=False)
f("the argument")
"""


def test_an_embedded_shell_sees_the_function_it_is_embedded_in(tmp_path):
    (tmp_path / "script.py").write_text(EMBEDDED)
    typed = "%load_ext llx_magic\n%llx --dry-run -p demo about {{ topic }}\n"
    done = subprocess.run(
        [sys.executable, "script.py"],
        input=typed,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(pathlib.Path(__file__).parents[2]), "TERM": "dumb"},
    )
    assert "about the argument" in done.stdout, done.stdout + done.stderr
