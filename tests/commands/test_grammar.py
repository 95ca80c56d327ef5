"""How words are read: one-line mistakes with the nearest option, text left as it was typed, no abbreviations."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.commands.command import Command, Option
from llx_magic.commands.profiles import pairs, read_params
from llx_magic.commands.prompt import read_prompt
from llx_magic.commands.reading import Reading
from llx_magic.commands.table import COMMANDS, PROMPT, Row
from llx_magic.commands.where import Where
from llx_magic.commands.words import split
from llx_magic.errors import UsageProblem
from tests.typed import options

NOTEBOOK = [row for row in COMMANDS.values() if Where.NOTEBOOK in row.where]


def reading(row: Row, *words: str) -> Reading:
    found = Reading(row.load(), row.typed(Where.NOTEBOOK), Where.NOTEBOOK)
    for word in words:
        found.take(word)
    return found


def said(name: str, *words: str) -> str:
    with pytest.raises(UsageProblem) as caught:
        reading(COMMANDS[name], *words).asked()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_option_offers_the_nearest_and_the_help():
    with pytest.raises(UsageProblem) as caught:
        read_prompt("--profil x", "why")
    assert str(caught.value) == "%%llx: unknown option --profil; did you mean --profile? (see %%llx --help)"


def test_an_unknown_subcommand_offers_the_nearest():
    assert "did you mean load?" in said("profile", "laod", "x")


def test_an_option_of_the_other_place_is_said_to_be_one():
    assert "--trust is an option of the command line alone" in said("", "--trust")


def test_options_are_not_abbreviated():
    assert "unknown option --sys" in said("", "--sys", "x")


def test_a_missing_value_and_a_missing_argument_are_said_by_name():
    assert "--backend needs a value, NAME" in said("", "--backend")
    assert "--backend needs a value, NAME" in said("", "--backend", "--no-stream")
    assert "NAME" in said("key", "set")
    assert "--provider" in said("profile", "save", "model", "x")
    assert "missing: loadbalancer or model" in said("profile", "save")


def test_a_word_too_many_is_named():
    assert "unexpected word 'extra'" in said("", "extra")
    assert "unexpected word 'extra'" in said("profile", "list", "extra")


def test_an_option_without_a_value_takes_none():
    assert "--no-stream takes no value" in said("", "--no-stream=yes")


def test_options_that_exclude_each_other_are_both_named():
    assert "--key-env and --key-name exclude each other" in said(
        "profile", "save", "model", "x", "--provider", "p", "--model", "m", "--key-env", "A", "--key-name", "b"
    )


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["-n5"], {"n": ["5"]}),
        (["-n", "5", "-n", "6"], {"n": ["5", "6"]}),
        (["-n=5"], {"n": ["5"]}),
        (["-p", "-5"], {"profile": ["-5"]}),
        (["--profile=a=b"], {"profile": ["a=b"]}),
    ],
)
def test_a_value_stands_behind_its_option_in_every_usual_way(words, given):
    assert reading(COMMANDS["log"], *words).asked().given == given


def test_options_of_one_letter_can_be_written_together():
    asked = reading(PROMPT, "-rqb", "fast").asked()
    assert asked.given == {"raw": [], "quiet": [], "backend": ["fast"]}
    assert "unknown option" in said("", "-rx")


def test_an_option_of_a_command_can_stand_before_and_behind_its_action():
    for words in (("-p", "both", "open", "a"), ("open", "a", "-p", "both"), ("open", "-p", "both", "a")):
        assert reading(COMMANDS["circuit"], *words).asked().given == {"profile": ["both"], "backend": ["a"]}


@pytest.mark.parametrize("row", NOTEBOOK, ids=lambda row: row.name or "prompt")
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_text_and_never_leaves_the_process(row, flag):
    assert reading(row, flag).asked().help.startswith("usage: ")


@pytest.mark.parametrize("row", NOTEBOOK, ids=lambda row: row.name or "prompt")
def test_help_of_a_subcommand_is_its_own(row):
    for action in row.load().actions:
        assert f"{row.typed(Where.NOTEBOOK)} {action.name}" in reading(row, action.name, "--help").asked().help


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.name or "prompt")
def test_everything_that_can_be_typed_has_a_function_that_does_it(row):
    def leaves(command: Command) -> list[Command]:
        below = [leaf for action in command.actions for leaf in leaves(action)]
        return [*below, *([command] if command.run else [])]

    for command in leaves(row.load()):
        module, _, name = command.run.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_no_option_is_declared_twice_in_one_place():
    def options(command: Command, where: Where) -> list[Option]:
        return [option for option in command.options if where in option.where]

    for row in COMMANDS.values():
        for where in (Where.NOTEBOOK, Where.SHELL):
            forms = [form for option in options(row.load(), where) for form in option.forms]
            assert len(forms) == len(set(forms))


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
    assert read_prompt(line)[1] == text


@given(st.text(alphabet="ab \"'{}\\-=,?", max_size=30))
def test_after_two_dashes_any_text_is_text(text):
    asked, rest = read_prompt(f"-b x -- {text}")
    assert asked.given == {"backend": ["x"]}
    assert rest == text.strip()


def test_options_are_read_into_their_own_type():
    line = "-p lb -b a -s 'be brief' --set timeout_ms=5000 --param temperature=0.5 --param stop=x -o r"
    asked = options(line)
    assert [asked.get(key) for key in ("profile", "backend", "system", "out")] == ["lb", "a", "be brief", "r"]
    assert pairs(asked.all("set"), "--set") == {"timeout_ms": "5000"}
    assert read_params(asked.all("param")) == {"temperature": 0.5, "stop": "x"}


def test_pairs_take_key_and_value_and_the_value_may_hold_equals_signs():
    assert pairs(["a=1", "b=x=y", "c="], "--set") == {"a": "1", "b": "x=y", "c": ""}
    for wrong in ("a", "=1", " =1"):
        with pytest.raises(UsageProblem, match="--set takes key=value"):
            pairs([wrong], "--set")


def test_words_are_split_as_a_shell_does_with_backslashes_left_alone():
    assert split(r"""load "my profile" C:\path\to 'a b'""") == ["load", "my profile", r"C:\path\to", "a b"]
    assert split("a # b") == ["a", "#", "b"]


def test_an_open_quote_is_one_line():
    with pytest.raises(UsageProblem, match='a quote is not closed in: load "x'):
        split('load "x')


@given(st.lists(st.text(alphabet="ab-= \"'#?", max_size=8), max_size=5))
def test_whatever_is_typed_is_read_or_refused_in_one_line(words):
    for row in NOTEBOOK:
        said = ""
        try:
            reading(row, *words).asked()
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
    text = said("profile", *words)
    assert (offered in text) if offered else ("did you mean" not in text)


def test_a_choice_of_an_option_is_offered():
    assert "; did you mean markdown?" in said("", "--format", "markdwn")


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ('df["two words"]', 'df["two words"]'),
        ("df[df['n'] > 1]", "df[df['n'] > 1]"),
        ("df[(df.n > 1) & (df.m < 2)].text", "df[(df.n > 1) & (df.m < 2)].text"),
        ('"df[df.n > 1]"', "df[df.n > 1]"),
        ('"my reviews.csv"', "my reviews.csv"),
        ("df['(']", "df['(']"),
        ('["a", "b"]', '["a", "b"]'),
        ('[("a", 1)]', '[("a", 1)]'),
        ("reviews", "reviews"),
    ],
)
def test_an_expression_keeps_its_blanks_and_quotes_inside_of_brackets(typed: str, word: str):
    assert split(f"{typed} -s 'Be: (brief' -o out", has_code=True) == [word, "-s", "Be: (brief", "-o", "out"]


def test_a_bracket_that_is_not_closed_takes_the_rest_of_the_line():
    assert split("df[df.n > 1 -o out", has_code=True) == ["df[df.n > 1 -o out"]


def test_a_bracket_of_a_sentence_that_is_not_closed_takes_nothing():
    assert split("(by the way -o out", has_code=True) == ["(by", "the", "way", "-o", "out"]
