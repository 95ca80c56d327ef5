"""A prompt and its options, as ``%%llx``, ``%llx`` and the command line take them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from llx_magic.commands.grammar import Grammar, pairs, shell_words, split_options
from llx_magic.commands.profiles import read_params
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.core.values import JsonValue
from llx_magic.engine.background import BACKGROUND
from llx_magic.observe.debug import drawn_by_a_view
from llx_magic.session.balancer import Ask, LoadBalancer
from llx_magic.session.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """What was asked for besides the prompt itself; None and False where an option was not given."""

    profile: str | None = None
    backend: str | None = None
    out: str | None = None
    system: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, JsonValue] = field(default_factory=dict)
    no_stream: bool = False
    stats: bool = False


def add_prompt_options(parser: Grammar) -> None:
    """Add the options that a cell and the command line share."""
    parser.add_argument(
        "-p", "--profile", "--profile-load", metavar="NAME_OR_PATH", dest="profile", help="the profile to ask"
    )
    parser.add_argument("-b", "--backend", metavar="NAME", help="ask this backend only, without failover")
    parser.add_argument("-s", "--system", metavar="TEXT", help="the system prompt")
    parser.add_argument(
        "--set", action="append", default=[], metavar="key=value", dest="sets", help="a setting, for this prompt only"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="name=value", help="a parameter of the model, for this prompt"
    )
    parser.add_argument("--no-stream", action="store_true", help="show the reply once, when it is whole")


def cell_grammar(prog: str = "%%llx") -> Grammar:
    """Return the grammar of the options of ``%%llx`` and ``%llx``."""
    what = "[options], the cell is the prompt" if prog.startswith("%%") else "[options] TEXT"
    parser = Grammar(prog, f"{prog} {what}. The answer comes from the best backend that is up.")
    add_prompt_options(parser)
    parser.add_argument("-o", "--out", metavar="VAR", help="the variable that takes the Reply")
    return parser


def split_prompt(line: str, prog: str = "%llx") -> tuple[PromptOptions, str]:
    """Return the options at the head of a line and the text after them, exactly as it was typed.

    Raises:
        UsageProblem: for an option that does not exist, with the nearest offered.
        HelpAskedError: where help is asked for.
    """
    parser = cell_grammar(prog)
    flags = {"-h", "--help", "--no-stream"}
    words, text = split_options(line, set(parser.option_strings()) - flags, flags)
    return options_of(parser.read(words)), text


def cell_options(line: str, prog: str = "%%llx") -> PromptOptions:
    """Return the options of a cell's first line, on which nothing else may stand."""
    return options_of(cell_grammar(prog).read(shell_words(line)))


def options_of(asked: argparse.Namespace) -> PromptOptions:
    """Return the parsed options in their own type."""
    return PromptOptions(
        profile=asked.profile,
        backend=asked.backend,
        out=getattr(asked, "out", None),
        system=asked.system,
        settings=pairs(asked.sets, "--set"),
        params=read_params(asked.param),
        no_stream=asked.no_stream,
        stats=getattr(asked, "stats", False),
    )


def prepare(session: Session, options: PromptOptions, prompt: str) -> tuple[LoadBalancer, Ask]:
    """Return the profile to ask and what to ask it, all checked; nothing is sent.

    Raises:
        UsageProblem: for an empty prompt, or a profile, setting or backend that does not exist.
    """
    balancer = session.balancer(options.profile)
    return balancer, balancer.prepare(prompt, options.system, options.settings, options.params, options.backend)


class View(Protocol):
    """Shows one reply as it grows."""

    def draw(self, parts: Iterable[Delta | Restart | Event]) -> float:
        """Take in what has come; return the seconds until the next drawing is worth its cost."""


def answer(balancer: LoadBalancer, asked: Ask, view: View) -> Reply:
    """Return the reply while the calling thread draws it; an interrupt closes the connection and is raised here.

    Raises:
        AllBackendsFailed: where no backend could answer.
    """
    with drawn_by_a_view():
        return BACKGROUND.follow(lambda watch: balancer.run(asked, watch), view.draw)
