"""A prompt and its options, as ``%%llx``, ``%llx`` and the command line take them."""

from __future__ import annotations

import argparse
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from llx_magic.commands.grammar import Grammar, pairs, shell_words, split_options
from llx_magic.commands.output import Output
from llx_magic.commands.profiles import read_params
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Message, Reply, Restart
from llx_magic.engine.background import BACKGROUND, Running
from llx_magic.engine.plan import Plan
from llx_magic.engine.scope import Watch
from llx_magic.errors import AllBackendsFailed
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.session.turns import turn_of
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.values import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """What was asked for besides the prompt itself; None and False where an option was not given."""

    profile: str | None = None
    backend: str | None = None
    system: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, JsonValue] = field(default_factory=dict)
    no_stream: bool = False
    dry_run: bool = False
    stats: bool = False
    out: str | None = None
    form: Format = "markdown"
    chat: str | None = None
    background: bool = False
    raw: bool = False
    next_cell: bool = False
    quiet: bool = False
    trust: bool = False

    @property
    def shows_all(self) -> bool:
        """Whether the whole text of a reply is shown, so that it can be shown while it comes."""
        return self.form in ("markdown", "text")


Format = Literal["markdown", "text", "code", "json"]

FORMATS: tuple[Format, ...] = ("markdown", "text", "code", "json")
"""How a cell can show a reply."""

_INSTRUCTIONS: Mapping[Format, str] = {
    "json": "Answer with one JSON value and nothing else: no words before or after it.",
    "code": "Answer with code alone, in one fenced code block that names its language.",
}
"""What the model is told of the form of its reply, below the user's own system prompt."""

REPEATABLE = ("--set", "--param")
"""The options that may be given more than once."""


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
    parser.add_argument(
        "--chat", nargs="?", const="", metavar="NAME", help="continue a conversation (before a text: --chat=NAME)"
    )
    parser.add_argument("--no-stream", action="store_true", help="show the reply once, when it is whole")
    parser.add_argument("--dry-run", action="store_true", help="show the prompt and who would be asked; send nothing")


def cell_grammar(prog: str = "%%llx") -> Grammar:
    """Return the grammar of the options of ``%%llx`` and ``%llx``."""
    what = "[options], the cell is the prompt" if prog.startswith("%%") else "[options] TEXT"
    parser = Grammar(prog, f"{prog} {what}. The answer comes from the best backend that is up.")
    add_prompt_options(parser)
    parser.add_argument("-o", "--out", metavar="VAR", help="the variable that takes the Reply")
    parser.add_argument("-f", "--format", choices=FORMATS, default="markdown", help="how the reply is shown")
    parser.add_argument("--bg", action="store_true", help="return at once; the reply goes on streaming here")
    parser.add_argument("-r", "--raw", action="store_true", help="send {{ }} as it is instead of filling it in")
    parser.add_argument("--next-cell", action="store_true", help="put the code of the reply into a new cell")
    parser.add_argument("-q", "--quiet", action="store_true", help="show nothing; the reply is in _llx and VAR")
    return parser


_FLAGS = frozenset(
    {"-h", "--help", "--no-stream", "--dry-run", "--chat", "--bg", "-r", "--raw", "--next-cell", "-q", "--quiet"}
)
"""The options that take no word of their own; --chat takes one only after an equals sign, since a text may follow."""


def split_prompt(line: str, prog: str = "%llx") -> tuple[PromptOptions, str]:
    """Return the options at the head of a line and the text after them, exactly as it was typed.

    Raises:
        UsageProblem: for an option that does not exist, with the nearest offered.
        HelpAskedError: where help is asked for.
    """
    parser = cell_grammar(prog)
    words, text = split_options(line, set(parser.option_strings()) - _FLAGS, _FLAGS)
    return options_of(parser.read(words)), text


def cell_options(line: str, prog: str = "%%llx") -> PromptOptions:
    """Return the options of a cell's first line, on which nothing else may stand."""
    return options_of(cell_grammar(prog).read(shell_words(line)))


def options_of(asked: argparse.Namespace) -> PromptOptions:
    """Return the parsed options in their own type."""
    given = vars(asked)
    return PromptOptions(
        profile=asked.profile,
        backend=asked.backend,
        system=asked.system,
        settings=pairs(asked.sets, "--set"),
        params=read_params(asked.param),
        no_stream=asked.no_stream,
        dry_run=asked.dry_run,
        stats=given.get("stats", False),
        out=_as_python_reads_it(given.get("out")),
        form=given.get("format", "markdown"),
        chat=given.get("chat"),
        background=given.get("bg", False),
        raw=given.get("raw", False),
        next_cell=given.get("next_cell", False),
        quiet=given.get("quiet", False),
        trust=given.get("trust", False),
    )


def _as_python_reads_it(name: str | None) -> str | None:
    """Return a variable's name in the form in which Python keeps it; what is none stays, and is refused later."""
    return unicodedata.normalize("NFKC", name) if name is not None and name.isidentifier() else name


def prepare(
    session: Session, options: PromptOptions, prompt: str, cell: str | None = None
) -> tuple[LoadBalancer, Plan]:
    """Return the profile to ask and what to ask it, all checked; nothing is sent.

    With ``--chat`` the earlier turns of the conversation come first; those of ``cell`` itself and later ones do not, so
    that a cell which runs again asks the same as the first time. What the profile may do is asked here, where somebody
    can be asked, and not for a dry run.

    Raises:
        UsageProblem: for an empty prompt, or a profile, setting, backend or conversation that cannot be used.
    """
    balancer = session.trusted_balancer(options.profile) if options.trust else session.balancer(options.profile)
    if not options.dry_run:
        session.consent.seek(balancer.profile)
    messages: tuple[Message, ...] = (Message("user", prompt),)
    system = options.system
    if options.chat is not None:
        messages = (*session.conversations.messages_before(options.chat or None, cell), *messages)
        if system is None:
            system = session.conversations.system_before(options.chat or None, cell)
    told = "\n\n".join(filter(None, (system, _INSTRUCTIONS.get(options.form)))) or system
    plan = balancer.prepare(messages, told, options.settings, options.params, options.backend)
    conversation = None if options.chat is None else session.conversations.identity(options.chat or None)
    return balancer, replace(plan, json=options.form == "json", conversation=conversation)


def remember(session: Session, options: PromptOptions, prompt: str, reply: Reply, cell: str | None = None) -> None:
    """Add a turn to the conversation that was named with ``--chat``, in the place of the same cell's earlier one.

    Raises:
        UsageProblem: where the conversation has no room for it; the reply itself is not touched.
    """
    if options.chat is not None:
        turn = turn_of(reply, prompt, cell=cell, unix_seconds=time.time(), system=options.system)
        session.conversations.record(options.chat or None, turn)


def preview(balancer: LoadBalancer, plan: Plan) -> Output:
    """Return what would be sent, and to whom, with the reason for each backend; nothing is sent."""
    verdicts = BACKGROUND.run(balancer.explain(plan))
    width = max(len(name) for name, _verdict in verdicts)
    said = [f"[{message.role}]\n{message.content.rstrip()}\n" for message in plan.messages]
    order = [f"  {number}. {name.ljust(width)}  {verdict}" for number, (name, verdict) in enumerate(verdicts, 1)]
    notes = [f"note: {note}" for note in plan.notes]
    return Output("\n".join([*said, *notes, f"would be asked, in this order (profile {balancer.name}):", *order]))


def start(balancer: LoadBalancer, plan: Plan) -> Running[Reply, Delta | Restart | Event]:
    """Prepare a prompt; whoever follows it writes its debug lines too, in their place among the text.

    Where JSON is asked for and the whole reply is none, the model is told so and asked once more.
    """

    async def answer(watch: Watch) -> Reply:
        reply = await balancer.run(plan, watch)
        problem = _fault_of(plan, reply)
        return reply if problem is None else await _asked_again(balancer, plan, watch, reply, problem)

    return BACKGROUND.start(answer)


def _fault_of(plan: Plan, reply: Reply) -> str | None:
    """Return why the reply is not in the form asked for; one that was cut would be cut again."""
    if not plan.json or reply.finish_reason == "length":
        return None
    try:
        reply.json()
    except ReplyFormatError as problem:
        return str(problem)
    return None


async def _asked_again(balancer: LoadBalancer, plan: Plan, watch: Watch, reply: Reply, problem: str) -> Reply:
    """Return the second reply, with what both took; the first one where nobody gives a second."""
    watch(Restart(reply.backend, problem, reply.backend, again=True))
    turns = (
        Message("assistant", reply.text),
        Message("user", f"{problem[:1].upper()}{problem[1:]}. Answer again, with the JSON value alone."),
    )
    try:
        second = await balancer.run(replace(plan, messages=(*plan.messages, *turns)), watch)
    except AllBackendsFailed:
        return replace(reply, notes=(*reply.notes, "asked again for JSON: nobody answered"))
    spent = "" if reply.usage is None else f", which took {reply.usage.total_tokens} tokens"
    return replace(
        second,
        attempts=reply.attempts + second.attempts,
        seconds=reply.seconds + second.seconds,
        cost=second.cost if reply.cost is None or second.cost is None else reply.cost + second.cost,
        notes=(*second.notes, f"asked again: the first reply was not JSON{spent}"),
    )
