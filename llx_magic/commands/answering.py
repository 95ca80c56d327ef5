"""A prompt of the command line, typed or piped or both: the reply on stdout, everything else on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from llx_magic import __version__
from llx_magic.backends import local as embedded
from llx_magic.commands import piped, prompt
from llx_magic.commands.ask import WHOLE, form_of
from llx_magic.commands.footer import SHELL_NOTE_LENGTH, footer
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, remark
from llx_magic.commands.reading import Asked
from llx_magic.commands.stats import report_of
from llx_magic.commands.table import COMMANDS, commands_at
from llx_magic.commands.terminal import TerminalView, in_form
from llx_magic.commands.where import Where
from llx_magic.core.message import Content, Image
from llx_magic.core.reply import Reply
from llx_magic.errors import AllBackendsFailed, UsageProblem, brief
from llx_magic.files.private import read_file
from llx_magic.files.strictjson import DocumentProblem
from llx_magic.observe import debug
from llx_magic.profiles.codec import read_object
from llx_magic.session import consent
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.schemas import is_json_schema, shape_of
from llx_magic.text.screen import one_line, printable
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import closest, shown_path

_LIKE_A_COMMAND = 0.8
"""From which likeness on (0 to 1) a single word is taken for a misspelt command rather than for a question."""

STANDARD_INPUT = "-"
"""The word that stands for it."""


def run(here: Here, asked: Asked) -> Output | None:
    """Ask the prompt that was typed, piped, or both; the reply has been written when this returns."""
    if "version" in asked:
        return Output(f"llx {__version__}")
    quiet = "quiet" in asked
    text = question(asked.all("question"), asked.get("prompt"), partial(_note, quiet=quiet), asked.get("chat"))
    for key in ("param", "system"):
        if key in asked:
            asked.given[key][:] = [piped.argument(word, f"--{key}") for word in asked.all(key)]
    content: Content = (*map(Image, asked.all("image")), text) if "image" in asked else text
    if "dry-run" in asked:
        return prompt.preview(*prompt.prepare(here.session, asked, content, schema=schema_of(asked)))
    try:
        answer(here.session, asked, content)
    finally:
        if "stats" in asked:
            remark("\n" + report_of(here.session.balancer(asked.get("profile"))).text)
        embedded.stop()
    return None


def question(words: Sequence[str], option: str | None, say: piped.Say, chat: str | None = None) -> str:
    """Return the prompt: the text given as ``words`` or as the option, a blank line, and what was piped.

    ``chat`` is the name of its conversation, which may be a question that stands behind ``--chat``.

    Raises:
        UsageProblem: where there is neither, there are two, or something cannot be read as text.
    """
    given = [*words, *([] if option is None else [option])]
    typed = [word for word in given if word != STANDARD_INPUT]
    if option not in (None, STANDARD_INPUT) and len(typed) > 1:
        raise UsageProblem("llx: the prompt is given twice, as --prompt and as a question")
    if option in (None, STANDARD_INPUT) and typed:
        _check(typed)
    asked = piped.argument(typed[0], "the prompt") if typed else ""
    text = piped.standard_input(say) if STANDARD_INPUT in given or piped.is_piped(say) else ""
    if not given and not text.strip():
        taken = f"; {brief(chat)} was taken as the name of a conversation: --chat=NAME" if chat else ""
        give = 'give --prompt TEXT, or llx "QUESTION", or - to read standard input (see llx --help)'
        raise UsageProblem(f"llx: no prompt; {give}{taken}")
    if not asked.strip() or not text.strip():
        return text if text.strip() else asked
    say(f"{len(text):,} characters of standard input follow the question")
    return f"{asked.rstrip()}\n\n{text}"


def _check(words: Sequence[str]) -> None:
    """Refuse what is not one text, and a single word that is a misspelt command or one that only notebooks have."""
    first, quoted = words[0], shlex.quote(" ".join(words))
    if first.startswith("-"):  # it follows a --, so it is no command
        if len(words) > 1:
            raise UsageProblem(f"llx: a question is one text: llx -- {quoted}")
        return
    here = [row.name for row in commands_at(Where.SHELL)]
    begun = (each for each in here if len(first) > 2 and each.startswith(first))
    meant = closest(first, here, likeness=_LIKE_A_COMMAND) or next(begun, None)
    if len(words) > 1:
        offer = f"did you mean llx {meant}? A question" if meant else "a question"
        raise UsageProblem(f"llx: unknown command {first!r}; {offer} is one text: llx {quoted}")
    if first and first not in here and first in COMMANDS:  # about earlier prompts, which a process forgets
        instead = f"; {debug.VARIABLE}='*' shows the decisions of a prompt" if first in ("trace", "log") else ""
        raise UsageProblem(f"llx: only IPython and notebooks have {first}{instead}")
    if meant:
        raise UsageProblem(
            f"llx: unknown command {first!r}; did you mean llx {meant}? To ask it: llx --prompt {quoted}"
        )


_LONGEST_PARTIAL = 10_000
"""How many characters of a reply that did not arrive whole are shown; a backend may have sent 16 MiB of them."""


def _head(text: str) -> str:
    """Return the text, or its beginning and its size where it is long."""
    more = f"\n… ({len(text):,} characters in all)" if len(text) > _LONGEST_PARTIAL else ""
    return text[:_LONGEST_PARTIAL] + more


def answer(session: Session, options: Asked, content: Content) -> Reply:
    """Write the reply of the best backend that is up.

    Raises:
        AllBackendsFailed: where none could answer.
        ReplyFormatError: where the reply has not the form asked for; the text is on stderr.
    """
    balancer, asked = prompt.prepare(session, options, content, schema=schema_of(options))
    quiet, form = "quiet" in options, form_of(options)
    for note in notes_of(balancer, options):
        _note(note, quiet=quiet)
    if sent := prompt.attached(asked):
        _note(sent.text, quiet=quiet)
    live = sys.stdout.isatty() and form in WHOLE and "no-stream" not in options
    view = TerminalView(sys.stdout, None if quiet else sys.stderr, live=live)
    try:
        reply = prompt.start(balancer, asked).follow(view.draw)
    except KeyboardInterrupt:
        view.give_up("interrupted")
        raise
    except AllBackendsFailed as failed:
        view.give_up("no whole answer")
        if failed.partial and not sys.stdout.isatty():
            remark(f"incomplete text of a backend that failed:\n{_head(printable(failed.partial))}")
        raise
    try:
        prompt.check(reply)
        view.finish(replace(reply, text=in_form(reply.text, form)))
    except ReplyFormatError:
        remark(printable(reply.text))
        raise
    finally:
        _note(footer(reply, longest_note=SHELL_NOTE_LENGTH), quiet=quiet)
        prompt.remember(session, options, asked, reply)
    return reply


def notes_of(balancer: LoadBalancer, options: Asked) -> list[str]:
    """Return what there is to say of a profile before it is asked: its notes, and of one from elsewhere its keys."""
    foreign = any(member.foreign for member in balancer.profile.members) or "trust" in options
    notes = (*(consent.lines(balancer.profile) if foreign else ()), *balancer.profile.notes)
    return [f"note: {one_line(note)}" for note in notes]


def schema_of(options: Asked) -> JsonValue:
    """Return the JSON schema in the file that was named, None where none was.

    Raises:
        UsageProblem: where the file cannot be read, or holds no JSON object.
    """
    if (name := options.get("schema")) is None:
        return None
    path = Path(name).expanduser()
    try:
        schema = read_object(read_file(path, follow_links=True))
        if schema and not is_json_schema(schema) and not all(isinstance(each, list) for each in schema.values()):
            raise DocumentProblem(_NO_SCHEMA)  # the short form means Python's types, which JSON has not
        shape_of(schema)
    except (DocumentProblem, UsageProblem) as problem:
        raise UsageProblem(f"--schema {shown_path(path)}: {problem}") from None
    return schema


_NO_SCHEMA = (
    'it must hold a JSON schema, such as {"type": "object", "properties": {"label": {"type": "string"}}}; of the short '
    'form a file can hold lists of words alone: {"label": ["bug", "billing"]}'
)


def _note(text: str, *, quiet: bool) -> None:
    if not quiet:
        remark(text)
