"""``{{ Err }}``: the notebook's last error in a prompt."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llx_magic.keys.redaction import LIVE_KEYS
from tests.notebook.kit import User, write_simulated

KEY = "sk-test-0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def nothing_before(home):
    write_simulated(home, "sim")
    sys.last_value = None


def prompt(user: User, text: str = "Explain: {{ Err }}") -> str:
    """Return the prompt as it would be sent."""
    return user(f"%%llx -p sim --dry-run\n{text}").fine().printed


def test_it_is_the_type_the_message_and_the_lines_of_the_last_error(user):
    user("def half(n):\n    return n / 0\n\nhalf(3)")
    said = prompt(user)
    assert "ZeroDivisionError: division by zero" in said
    assert "return n / 0" in said
    assert "line 4, in <module>" in said
    assert "IPython" not in said


def test_an_error_of_syntax_is_one_too(user):
    user("def half(n:\n")
    assert "SyntaxError" in prompt(user)


@pytest.mark.parametrize("code", ["def half(n:\n", "if True:\nprint(1)", "x = 1\nreturn x", "'a"])
def test_an_error_of_syntax_names_the_cell_and_no_file(user, code):
    user(code)
    said = prompt(user)
    assert "Cell In[" in said
    assert "File" not in said


def test_an_error_of_syntax_in_a_module_names_its_file(user, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (tmp_path / "misspelt_module.py").write_text("def half(n:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    user("import misspelt_module")
    assert "File ~/misspelt_module.py, line 1" in prompt(user)


def test_without_an_error_it_is_one_clear_line(user):
    ran = user("%%llx -p sim --dry-run\nExplain: {{ Err }}")
    why = "{{ Err }}: no cell of this notebook has failed; the failures of prompts do not count (nothing was sent)"
    assert ran.failure.endswith(why)


def test_what_a_prompt_itself_fails_with_does_not_take_its_place(user):
    user("1 / 0")
    assert user("%%llx -p nobody\nwhy").error is not None
    assert "ZeroDivisionError" in prompt(user)


def test_the_cause_comes_first(user):
    user("try:\n    {}['a']\nexcept KeyError as gone:\n    raise ValueError('no a') from gone")
    said = prompt(user)
    assert said.index("KeyError: 'a'") < said.index("ValueError: no a")


def test_keys_are_taken_out(user):
    LIVE_KEYS.add("a-key-without-a-shape-1")
    user(f"key = '{KEY}'; raise ValueError('refused: {KEY} a-key-without-a-shape-1')")
    said = prompt(user)
    assert "ValueError: refused" in said
    assert KEY not in said
    assert "a-key-without-a-shape-1" not in said


def test_a_long_traceback_is_shortened_in_its_middle(user):
    user("def dive(n):\n    return dive(n - 1) if n else 1 / 0\n\ndive(200)")
    said = prompt(user)
    assert said.count("in dive") <= 12
    assert "more …" in said


def test_a_file_in_the_home_folder_is_shown_with_a_tilde(user, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    module = tmp_path / "broken_module.py"
    module.write_text("SECRET = 'of a line that did not fail'\nraise ValueError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    user("import broken_module")
    said = prompt(user)
    assert "File ~/broken_module.py, line 2" in said
    assert "did not fail" not in said


def test_a_variable_of_that_name_comes_first(user):
    user("1 / 0")
    user("Err = 'mine'")
    assert "Explain: mine" in prompt(user)


def test_unloading_takes_the_listener_away(user):
    before = len(user.shell.events.callbacks["post_run_cell"])
    user("%unload_ext llx_magic").fine()
    assert len(user.shell.events.callbacks["post_run_cell"]) == before - 1
