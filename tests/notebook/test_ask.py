"""``llx_magic.ask`` and ``current``: in a notebook its loaded profile, elsewhere what the environment names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebook.kit import ROOT, PlainShell, opened, write_balancer, write_simulated

ASK = "import llx_magic as llx\nreply = llx.ask('hello')"


def test_without_a_name_the_notebooks_loaded_profile_answers(user):
    user(ASK).fine()
    assert user["reply"].backend == "first"


def test_it_is_the_same_load_balancer_that_cells_ask(user):
    user("%%llx\nhello").fine()
    user(ASK).fine()
    user("history = get_ipython().find_line_magic('llx_stats')('').frame").fine()
    assert user["history"].loc["first", "requests"] == 2


def test_the_sessions_settings_hold_for_it_too(user, first):
    first.set_default("503")
    user("%llx_set failover_retry_count 3").fine()
    user("%llx_set failover_retry_delay_ms 0").fine()
    user(ASK).fine()
    assert user["reply"].attempts == 4


def test_a_setting_of_the_session_holds_for_a_named_profile_as_with_the_option_p(user, first):
    first.set_default("503")
    user("%llx_set failover_retry_delay_ms 0").fine()
    user("%llx_set failover_retry_count 2").fine()
    user("import llx_magic as llx\nreply = llx.ask('hello', profile='pair')").fine()
    assert user["reply"].attempts == 3


def test_a_thread_of_the_notebook_asks_the_same_profile(user):
    user("import concurrent.futures, llx_magic as llx").fine()
    user("with concurrent.futures.ThreadPoolExecutor(4) as pool:\n    replies = list(pool.map(llx.ask, 'abcd'))").fine()
    assert {reply.backend for reply in user["replies"]} == {"first"}


def test_what_is_loaded_later_is_asked_from_then_on(home, user):
    write_simulated(home, "calm", reply="I am calm.")
    user(ASK).fine()
    user("%llx_profile load calm").fine()
    user(ASK).fine()
    assert user["reply"].text == "I am calm."


def test_where_nothing_was_loaded_ask_and_cells_share_one_session(home, monkeypatch):
    write_simulated(home, "calm", reply="I am calm.")
    monkeypatch.setenv("LLX_PROFILE", "calm")
    with opened(PlainShell) as shell:
        shell(ASK).fine()
        shell("%%llx\nhello").fine()
        shell("stats = get_ipython().find_line_magic('llx_stats')('').frame").fine()
        assert shell["stats"].loc["calm", "requests"] == 2


def test_the_notebook_that_came_last_is_asked_and_gives_the_place_back(home, user):
    write_simulated(home, "calm", reply="I am calm.")
    with opened(PlainShell) as other:
        other("%llx_profile load calm").fine()
        other(ASK).fine()
        assert other["reply"].text == "I am calm."
    user(ASK).fine()
    assert user["reply"].backend == "first"


def test_after_unloading_the_loaded_profile_is_no_longer_asked(home, user, monkeypatch):
    write_simulated(home, "calm", reply="I am calm.")
    user("%unload_ext llx_magic").fine()
    monkeypatch.setenv("LLX_PROFILE", str(home / "profiles" / "calm.json"))
    user(ASK).fine()
    assert user["reply"].text == "I am calm."
    user("%load_ext llx_magic").fine()


def test_current_is_the_name_of_the_loaded_profile_and_says_that_it_was_loaded(user):
    user("import llx_magic as llx\nname = llx.current()\nagain = llx.load(name).name").fine()
    assert user["name"] == "pair"
    assert repr(user["name"]) == "pair (loaded)"
    assert user["again"] == "pair"


@pytest.mark.parametrize("later", ["%llx_set timeout_ms 5000", "%%llx\nhello"])
def test_current_follows_neither_settings_nor_prompts(user, later):
    user(later).fine()
    user("import llx_magic as llx\nname = llx.current()").fine()
    assert user["name"].origin == "loaded"


def test_a_copy_and_a_pickle_of_the_name_are_plain_text_that_still_names_it(user):
    user("import copy, pickle, llx_magic as llx\nname = llx.current()").fine()
    user("both = [copy.copy(name), pickle.loads(pickle.dumps(name))]").fine()
    assert user["both"] == ["pair", "pair"]


def said(code: str, home: Path, **env: str) -> str:
    """What a program without IPython prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import llx_magic as llx\n{code}"],
        capture_output=True, text=True, check=False, cwd=home,
        env={"LLXPRT_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("variable", "default", "shown"),
    [
        ("calm", "pair", "calm (LLX_PROFILE)"),
        (None, "pair", "pair (default)"),
        (None, None, "local (embedded)"),
        ("", None, "local (embedded)"),
    ],
)
def test_outside_notebooks_it_is_the_variable_then_the_default_then_the_embedded_model(home, variable, default, shown):
    write_simulated(home, "calm", reply="I am calm.")
    write_simulated(home, "other")
    write_balancer(home, "pair", ["calm", "other"])
    env = {} if variable is None else {"LLX_PROFILE": variable}
    set_default = f"llx.session.Session().store.set_default({default!r})\n" if default else ""
    assert said(f"import llx_magic.session\n{set_default}print(repr(llx.current()))", home, **env) == shown


def test_a_profile_that_the_variable_names_and_nobody_has_is_one_line(home):
    code = "try: llx.current()\nexcept llx.ProfileError as problem: print(problem)"
    assert "ghost" in said(code, home, LLX_PROFILE="ghost")


def test_asking_for_the_name_sends_and_fetches_nothing(home, tmp_path):
    told = said("llx.current()\nprint('asyncio' in vars(llx))", home, LLX_CACHE_HOME=str(tmp_path / "cache"))
    assert told == "False"
    assert not (tmp_path / "cache").exists()


def test_a_forked_child_asks_the_profile_that_was_loaded_in_the_notebook(user):
    user("import multiprocessing, llx_magic as llx\nllx.ask('before')").fine()
    user("""def ask(pipe):
    pipe.send(llx.ask('in the child').backend)""").fine()
    user("""mine, theirs = multiprocessing.Pipe()
child = multiprocessing.get_context('fork').Process(target=ask, args=(theirs,))
child.start(); child.join(30)
answered = mine.recv()""").fine()
    assert user["answered"] == "first"


@pytest.mark.model
def test_a_reply_for_want_of_a_profile_says_that_it_is_a_stand_ins(home):
    with opened(PlainShell) as shell:
        ran = shell("r = %llx --param max_tokens=3 hello").fine()
        assert shell["r"].notes[0] == "a stand-in, not to be relied on: no profile is loaded (%llx_profile load NAME)"
        assert "a stand-in, not to be relied on: no profile is loaded (%llx_profile load NAME)" in ran.printed
        shell("import llx_magic as llx\nr = llx.ask('hello', params={'max_tokens': 3})").fine()
        assert shell["r"].notes[0] == "a stand-in, not to be relied on: no profile is loaded (%llx_profile load NAME)"


@pytest.mark.model
def test_the_embedded_model_asked_by_its_profile_is_no_stand_in(home):
    (home / "profiles" / "small.json").write_text(
        json.dumps({"version": 1, "provider": "local", "model": "smollm2-135m-instruct", "modelParams": {}})
    )
    with opened(PlainShell) as shell:
        shell("r = %llx -p small --param max_tokens=3 hello").fine()
        assert not [note for note in shell["r"].notes if "stand-in" in note]
