"""What a stranger mistypes first: one line names what was given, what is allowed, and what was probably meant."""

from __future__ import annotations

import pytest

from llx_magic.cli import main
from llx_magic.commands.answering import question
from llx_magic.commands.demo import first_tokens
from llx_magic.errors import UsageProblem
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
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
