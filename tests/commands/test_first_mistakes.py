"""What a stranger mistypes first: one line names what was given, what is allowed, and what was probably meant."""

from __future__ import annotations

import pytest

import llx_magic
from llx_magic.cli import main
from llx_magic.commands.answering import question
from llx_magic.commands.demo import first_tokens
from llx_magic.errors import LlxError, ProfileError, SettingError, UsageProblem
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.text.wording import closest
from llx_magic.units import duration
from tests.home import own_home
from tests.replay.profiles import member, profile
from tests.typed import Typed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mpa"], "unknown command 'mpa'; did you mean llx map? To ask it: llx --prompt mpa"),
        (["stauts"], "unknown command 'stauts'; did you mean llx stats? To ask it: llx --prompt stauts"),
        (["kye"], "unknown command 'kye'; did you mean llx key? To ask it: llx --prompt kye"),
        (["mpa", "x.csv"], "unknown command 'mpa'; did you mean llx map? A question is one text: llx 'mpa x.csv'"),
        (["prof", "list"], "unknown command 'prof'; did you mean llx profile? A question is one text: llx 'prof list'"),
        (["why", "not"], "unknown command 'why'; a question is one text: llx 'why not'"),
    ],
)
def test_a_misspelt_command_is_told_with_the_one_that_is_meant_and_how_to_ask_it(words, said):
    with pytest.raises(UsageProblem) as caught:
        question(words, None, print)
    assert str(caught.value) == f"llx: {said}"


@pytest.mark.parametrize("word", ["hello", "hey", "why", "amd"])
def test_a_word_that_is_no_command_is_asked(word, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert question([word], None, print) == word


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        ("stats", "--foo", "unknown option --foo; there are: --profile, --all, --reset, --help"),
        ("status", "--foo", "unknown option --foo; there are: --profile, --help"),
        ("stats", "--rest", "unknown option --rest; did you mean --reset?"),
        ("stats", "--al", "unknown option --al; there are: --profile, --all, --reset, --help"),
        ("replay", "--histroy x", "unknown option --histroy; did you mean --history?"),
        ("map", "--foo", "unknown option --foo ("),
        ("map", "--no-dedup", "unknown option --no-dedup; did you mean --no-dedupe?"),
    ],
)
def test_an_unknown_option_is_told_with_the_nearest_or_with_all_where_they_are_few(command, line, said):
    with pytest.raises(UsageProblem) as caught:
        Typed(command).run(Session(ProfileStore()), line)
    assert said in str(caught.value)
    assert str(caught.value).endswith("--help)")


@pytest.mark.parametrize(
    ("word", "said"),
    [("demo", "unexpected word 'demo'; the profile is named with -p demo ("), ("dmo", "unexpected word 'dmo' (")],
)
def test_a_profile_without_its_option_is_told_with_it(word, said):
    with pytest.raises(UsageProblem) as caught:
        Typed("status").run(Session(ProfileStore()), word)
    assert said in str(caught.value)


@pytest.mark.parametrize("given", ["''", "'  '"])
def test_the_demo_refuses_an_empty_prompt_before_it_fetches_anything(given):
    with pytest.raises(UsageProblem, match="the prompt is empty; nothing was sent"):
        Typed("demo").run(Session(ProfileStore()), f"--prompt {given}", "llx demo")


async def test_the_demo_says_why_it_shows_two_times_of_a_first_token():
    tried_twice = profile(member("a", "refused"), member("b", latency_ms=500), failover_retry_delay_ms=1000)
    reply = await LoadBalancer(tried_twice, isolated=True).ask("why")
    words = " ".join(first_tokens(reply).split())
    assert reply.ttft > 1.0
    assert f"came 500 ms after it was asked and {duration(reply.ttft)} after the prompt: before, the first" in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--chat"], "nothing is continued, since a session of llx ends with its reply; --chat NAME keeps"),
        (["--param", "latncy_ms=1"], "a simulated model has no parameter 'latncy_ms'; did you mean latency_ms?"),
    ],
)
def test_what_a_prompt_in_a_shell_takes_without_effect_is_said_below_the_reply(
    words, said, tmp_path, monkeypatch, capsys
):
    own_home(tmp_path, monkeypatch)
    ProfileStore().save(ModelProfile("s", "simulated", "m"))
    assert main(["-p", "s", *words, "--prompt", "hello"]) == 0
    assert said in capsys.readouterr().err


KEY_TYPED = "a key does not belong in a cell or a command: store it with llx key set NAME and save the profile with"
SAVE = "save model x --provider openai --model m"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("profile", f"{SAVE} --api-key sk-1-typed"),
        ("profile", f"{SAVE} --apikey=sk-1-typed"),
        ("profile", f"{SAVE} --token sk-1-typed"),
        ("profile", f"{SAVE} api_key=sk-1-typed"),
        ("profile", f"{SAVE} --set api_key=sk-1-typed"),
        ("profile", f"{SAVE} --param api_key=sk-1-typed"),
        ("set", "api_key=sk-1-typed"),
        ("set", "OPENAI_API_KEY sk-1-typed"),
        ("", "-p openai:gpt-5 --api-key sk-1-typed hello"),
        ("", "-p openai:gpt-5 --key=sk-1-typed hello"),
        ("", "-p openai:gpt-5 --set api_key=sk-1-typed hello"),
        ("map", "x.csv --api-key sk-1-typed"),
    ],
)
def test_who_types_a_key_is_told_where_it_belongs_and_that_it_is_now_in_a_history(command, line):
    with pytest.raises(LlxError) as caught:
        Typed(command).run(Session(ProfileStore()), line, f"llx {command}".strip())
    said = str(caught.value)
    assert KEY_TYPED in said
    assert "--key-env VAR" in said
    assert "one that was typed is now in" in said
    assert "sk-1-typed" not in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("api_key", KEY_TYPED),
        ("token", KEY_TYPED),
        ("temperature", "a parameter of the model goes into params: params={'temperature': ...}"),
        ("timeout_ms", "a setting goes into settings: settings={'timeout_ms': ...}"),
        ("model", "a model that no profile is saved for is profile='PROVIDER:MODEL'"),
    ],
)
def test_python_is_told_where_an_option_of_other_libraries_goes(name, said):
    with pytest.raises(TypeError) as caught:
        llx_magic.ask("why", **{name: "sk-1-typed"})
    assert said in str(caught.value)
    assert "sk-1-typed" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        ("", "--temperature 0.2 hi", "a parameter of the model is given with --param temperature=VALUE"),
        ("", "--temperature=0.2 hi", "a parameter of the model is given with --param temperature=0.2"),
        ("", "--max-tokens 5 hi", "--param max_tokens=VALUE"),
        ("map", "x.csv --top-p 1", "--param top_p=VALUE"),
        ("profile", f"{SAVE} --seed=1", "--param seed=1"),
        ("", "--model gpt-5 hi", "asked with -p PROVIDER:MODEL"),
        ("", "-m gpt-5 hi", "asked with -p PROVIDER:MODEL"),
        ("map", "x.csv --provider openai", "asked with -p PROVIDER:MODEL"),
        ("", "--timeout-ms=5 hi", "a setting is given with --set timeout_ms=5"),
        ("", "--timeout 5 hi", "--set timeout_ms=VALUE"),
        ("profile", f"{SAVE} --api-base http://x", "give --base-url URL"),
        ("", "--base-url http://x hi", "llx profile save model NAME --provider P --model M --base-url VALUE"),
        ("", "--reasoning-effort high hi", "give --effort EFFORT"),
        ("", "--json hi", "give -f json"),
        ("map", "x.csv --prompt-file p.txt", 'give --prompt "$(cat FILE)"'),
        ("", "'-dash question'", "a text that begins with a dash goes behind --"),
    ],
)
def test_an_option_of_other_programs_is_told_with_what_does_it_here(command, line, said):
    with pytest.raises(UsageProblem) as caught:
        Typed(command).run(Session(ProfileStore()), line, f"llx {command}".strip())
    assert "unknown option -" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("line", ["timeout_ms=2000 stall_timeout_ms=1000", "timeout_ms 2000 stall_timeout_ms 1000"])
def test_two_settings_on_a_line_are_told_that_one_is_set_at_a_time(line):
    session = Session(ProfileStore())
    with pytest.raises(SettingError, match="one setting is set at a time; set stall_timeout_ms by a line of its own"):
        Typed("set").run(session, line)


@pytest.mark.parametrize("name", ["openai", "OpenAI", "anthropic"])
def test_a_provider_in_the_place_of_a_profile_is_told_how_it_is_asked(name):
    with pytest.raises(ProfileError, match=f"is asked with -p {name.lower()}:MODEL "):
        ProfileStore().load(name)


def test_of_the_profiles_that_there_are_the_users_own_come_first(tmp_path):
    store = ProfileStore(tmp_path)
    for name in ("zebra", "yak"):
        store.save(ModelProfile(name, "simulated", "m"))
    with pytest.raises(ProfileError, match="; there are: yak, zebra, chutes, demo"):
        store.load("qqqqq")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["-starts", "with", "dash"], "a question is one text: llx -- '-starts with dash'")],
)
def test_a_question_that_begins_with_a_dash_is_quoted_behind_two_dashes(words, said):
    with pytest.raises(UsageProblem) as caught:
        question(words, None, print)
    assert str(caught.value) == f"llx: {said}"


def test_the_question_that_was_advised_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert question(["-starts with dash"], None, print) == "-starts with dash"


@pytest.mark.parametrize(
    ("given", "meant"),
    [("maximum", "high"), ("MAX", "high"), ("minimal", "low"), ("off", "none"), ("hgh", "high"), ("banana", "")],
)
def test_an_effort_that_is_none_is_told_with_the_one_that_is_meant_if_any(given, meant):
    with pytest.raises(UsageProblem) as caught:
        Typed("").run(Session(ProfileStore()), f"--effort {given} hi", "llx")
    assert (f"; did you mean {meant}?" in str(caught.value)) if meant else ("did you mean" not in str(caught.value))


@pytest.mark.parametrize(("given", "known"), [("nothere", "cohere"), ("maximum", "medium"), ("other", "ether mist")])
def test_a_name_that_is_not_near_is_not_offered(given, known):
    assert closest(given, [known]) is None


@pytest.mark.parametrize(("given", "known"), [("kye", "key"), ("opnai", "openai"), ("txt", "text"), ("pmap", "map")])
def test_a_name_with_a_slip_of_the_keys_is_offered(given, known):
    assert closest(given, [known, "else"]) == known
