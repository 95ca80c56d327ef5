"""The shared grammar: one-line mistakes with the nearest option, text left as it was typed, no abbreviations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.commands import keys, local, profiles, settings, statistics
from llx_magic.commands.grammar import Grammar, HelpAskedError, pairs, shell_words, split_options
from llx_magic.commands.prompt import cell_grammar, cell_options, split_prompt
from llx_magic.errors import UsageProblem

GRAMMARS = [
    cell_grammar("%%llx"), cell_grammar("%llx"), profiles.grammar(), settings.grammar(), keys.grammar(),
    local.grammar(), statistics.stats_grammar(), statistics.log_grammar(),
]  # fmt: skip


def said(parser: Grammar, *words: str) -> str:
    with pytest.raises(UsageProblem) as caught:
        parser.read(words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_option_offers_the_nearest_and_the_help():
    assert said(cell_grammar(), "--profil", "x") == (
        "%%llx: unknown option --profil; did you mean --profile? (see %%llx --help)"
    )


def test_an_unknown_subcommand_offers_the_nearest():
    assert "did you mean load?" in said(profiles.grammar(), "laod", "x")


def test_options_are_not_abbreviated():
    assert "unknown option --sys" in said(cell_grammar(), "--sys", "x")


def test_a_missing_value_and_a_missing_argument_are_said_by_name():
    assert "-b/--backend" in said(cell_grammar(), "--backend")
    assert "NAME" in said(keys.grammar(), "set")
    assert "--provider" in said(profiles.grammar(), "save", "model", "x")


def test_a_word_too_many_is_named():
    assert "'extra' is one word too many" in said(cell_grammar(), "extra")


@pytest.mark.parametrize("parser", GRAMMARS, ids=lambda parser: parser.prog)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_raised_and_never_leaves_the_process(parser, flag):
    with pytest.raises(HelpAskedError) as caught:
        parser.read([flag])
    assert str(caught.value).startswith("usage: ")


@pytest.mark.parametrize("parser", GRAMMARS, ids=lambda parser: parser.prog)
def test_help_of_a_subcommand_is_its_own(parser):
    for name, sub in parser.subcommands().items():
        with pytest.raises(HelpAskedError) as caught:
            parser.read([name, "--help"])
        assert sub.prog in str(caught.value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("why is it so?", "why is it so?"),
        ("-b a why", "why"),
        ("--set timeout_ms=5 --set=streaming=disabled what's this", "what's this"),
        ("""-s "be brief" it's "quoted"  twice""", """it's "quoted"  twice"""),
        ("-- --no-stream is an option", "--no-stream is an option"),
        ("--no-stream why -b not", "why -b not"),
        ('{"a": 1} \\n stays', '{"a": 1} \\n stays'),
        ("", ""),
    ],
)
def test_the_text_after_the_options_is_left_exactly_as_it_was_typed(line, text):
    assert split_prompt(line)[1] == text


@given(st.text(alphabet="ab \"'{}\\-=,?", max_size=30))
def test_after_two_dashes_any_text_is_text(text):
    words, rest = split_options(f"-b x -- {text}", {"-b"}, set())
    assert words == ["-b", "x"]
    assert rest == text.strip()


def test_options_are_read_into_their_own_type():
    options = cell_options("-p lb -b a -s 'be brief' --set timeout_ms=5000 --param temperature=0.5 --param stop=x -o r")
    assert (options.profile, options.backend, options.system, options.out) == ("lb", "a", "be brief", "r")
    assert options.settings == {"timeout_ms": "5000"}
    assert options.params == {"temperature": 0.5, "stop": "x"}


def test_pairs_take_key_and_value_and_the_value_may_hold_equals_signs():
    assert pairs(["a=1", "b=x=y", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}
    for wrong in ("a", "=1", " =1"):
        with pytest.raises(UsageProblem, match="--set takes key=value"):
            pairs([wrong], "--set")


def test_words_are_split_as_a_shell_does_with_backslashes_left_alone():
    assert shell_words(r"""load "my profile" C:\path\to 'a b'""") == ["load", "my profile", r"C:\path\to", "a b"]
    assert shell_words("a # b") == ["a", "#", "b"]


def test_an_open_quote_is_one_line():
    with pytest.raises(UsageProblem, match='a quote is not closed in: load "x'):
        shell_words('load "x')


@given(st.lists(st.text(alphabet="ab-= \"'#?", max_size=8), max_size=5))
def test_whatever_is_typed_is_read_or_refused_in_one_line(words):
    for parser in GRAMMARS:
        said = ""
        try:
            parser.read(words)
        except HelpAskedError:
            continue
        except UsageProblem as problem:
            said = str(problem)
        assert "\n" not in said


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["save", "modle"], "; did you mean model?"),
        (["save", "x"], None),
        (["lst"], "; did you mean list?"),
        (["list", "-q"], None),
        (["save", "model", "x", "--provider", "p", "--model", "m", "--parm", "k=v"], "; did you mean --param?"),
    ],
)
def test_what_is_offered_is_one_of_what_was_allowed_there(words, offered):
    text = said(profiles.grammar(), *words)
    assert (offered in text) if offered else ("did you mean" not in text)


def test_a_choice_of_an_option_is_offered():
    assert "; did you mean markdown?" in said(cell_grammar(), "--format", "markdwn")
