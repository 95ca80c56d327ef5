"""A prompt of the command line: the reply on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

from llx_magic import __version__
from llx_magic.backends import local as embedded
from llx_magic.commands import piped, prompt
from llx_magic.commands.ask import WHOLE, form_of
from llx_magic.commands.footer import SHELL_NOTE_LENGTH, footer
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, remark
from llx_magic.commands.question import question
from llx_magic.commands.reading import Asked
from llx_magic.commands.stats import report_of
from llx_magic.commands.terminal import TerminalView, in_form
from llx_magic.core.reply import Reply
from llx_magic.errors import AllBackendsFailed
from llx_magic.session import consent
from llx_magic.session.session import Session
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.screen import one_line, printable


def run(here: Here, asked: Asked) -> Output | None:
    """Ask the prompt that was typed, piped, or both; the reply has been written when this returns."""
    if "version" in asked:
        return Output(f"llx {__version__}")
    quiet = "quiet" in asked
    text = question(asked.all("question"), asked.get("prompt"), partial(_note, quiet=quiet))
    for key in ("param", "system"):
        if key in asked:
            asked.given[key][:] = [piped.argument(word, f"--{key}") for word in asked.all(key)]
    if "dry-run" in asked:
        return prompt.preview(*prompt.prepare(here.session, asked, text))
    try:
        answer(here.session, asked, text)
    finally:
        if "stats" in asked:
            remark("\n" + report_of(here.session.balancer(asked.get("profile"))).text)
        embedded.stop()
    return None


_LONGEST_PARTIAL = 10_000
"""How many characters of a reply that did not arrive whole are shown; a backend may have sent 16 MiB of them."""


def _head(text: str) -> str:
    """Return the text, or its beginning and its size where it is long."""
    more = f"\n… ({len(text):,} characters in all)" if len(text) > _LONGEST_PARTIAL else ""
    return text[:_LONGEST_PARTIAL] + more


def answer(session: Session, options: Asked, text: str) -> Reply:
    """Write the reply of the best backend that is up.

    Raises:
        AllBackendsFailed: where none could answer.
        ReplyFormatError: where the reply has not the form asked for; the text is on stderr.
    """
    balancer, asked = prompt.prepare(session, options, text)
    quiet, form = "quiet" in options, form_of(options)
    foreign = any(member.foreign for member in balancer.profile.members) or "trust" in options
    for note in (*(consent.lines(balancer.profile) if foreign else ()), *balancer.profile.notes):
        _note(f"note: {one_line(note)}", quiet=quiet)
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
        view.finish(replace(reply, text=in_form(reply.text, form)))
    except ReplyFormatError:
        remark(printable(reply.text))
        raise
    finally:
        _note(footer(reply, longest_note=SHELL_NOTE_LENGTH), quiet=quiet)
        prompt.remember(session, options, text, reply)
    return reply


def _note(text: str, *, quiet: bool) -> None:
    if not quiet:
        remark(text)
