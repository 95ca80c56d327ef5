"""The ``llx`` command: the reply on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO, cast

from llx_magic import __version__
from llx_magic.backends import local as embedded
from llx_magic.commands import chat, keys, local, piped, profiles, prompt, settings, statistics, trust
from llx_magic.commands.footer import footer
from llx_magic.commands.forms import in_form
from llx_magic.commands.grammar import Grammar, HelpAskedError
from llx_magic.commands.output import Output
from llx_magic.commands.question import question
from llx_magic.commands.terminal import TerminalView
from llx_magic.core.reply import Reply
from llx_magic.errors import AllBackendsFailed, LlxError, UsageProblem
from llx_magic.observe.debug import VARIABLE
from llx_magic.session import consent
from llx_magic.session.consent import Asker
from llx_magic.session.session import Session
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.screen import one_line, printable

ANSWERED, NO_ANSWER, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

DEMO_PROMPT = "What is the capital of France? Answer in one sentence."

_LOADING = re.compile(r"%llx_profile load ([^\s)]+)")
"""What a notebook loads for good is here named with each prompt."""

_MAGIC = re.compile(r"%{1,2}llx(?:_([a-z]+))?")

_EPILOGUE = """
examples:
  llx "Why is the sky blue?"
  git diff | llx "Write a commit message for this."      the question, a blank line, the piped text
  llx -q -f json "Three primes, as a JSON list." | jq .
  llx -p work - < question.txt                           the file is the question

A pipe or file on standard input is read to its end; where a script leaves one open that is not meant for llx, give
< /dev/null. Text is UTF-8, in whatever locale.

other commands (each has --help):
  llx profile ...   save, load, list, show and delete profiles
  llx set ...       every setting, and help for each
  llx local ...     fetch, look at and stop the embedded model
  llx key ...       keys in the operating system's keyring
  llx chat ...      the named conversations
  llx demo          a prompt that fails over, for real, to the embedded model

exit status: 0 answered, 1 no backend could answer or the reply has not the form asked for, 2 bad usage, 130 interrupted
"""


def grammar() -> Grammar:
    """Return the grammar of the command without a subcommand: one prompt."""
    parser = Grammar("llx", 'llx [options] "QUESTION": ask a prompt of the best backend that is up.')
    parser.epilog = _EPILOGUE
    prompt.add_prompt_options(parser)
    parser.add_argument("question", nargs="*", metavar="QUESTION", help="the prompt; - stands for standard input")
    parser.add_argument("--prompt", metavar="TEXT", help="the same as QUESTION, for scripts")
    parser.add_argument(
        "-f",
        "--format",
        choices=prompt.FORMATS,
        default="markdown",
        help="code: only the code of the reply; json: only its JSON, checked; the others: the reply as it is",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="nothing on stderr but errors")
    parser.add_argument("--trust", action="store_true", help="let the profile use the keys it names, this time")
    parser.add_argument("--stats", action="store_true", help="the statistics afterwards, on stderr")
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        _prepare_streams()
        status = _run(list(sys.argv[1:] if words is None else words))
    except UsageProblem as problem:
        status = _complain(problem, BAD_USAGE)
    except LlxError as problem:
        status = _complain(problem, NO_ANSWER)
    except KeyboardInterrupt:
        print("llx: interrupted", file=sys.stderr)
        status = INTERRUPTED
    except OSError as problem:
        _give_up_standard_output()
        status = NO_ANSWER
        if not isinstance(problem, BrokenPipeError):  # there the reader has gone, and wants to hear no more
            where = f" ({problem.filename})" if problem.filename else ""
            _complain(LlxError(f"the operating system says: {problem.strerror or problem}{where}"), status)
    return status


def _prepare_streams() -> None:
    """Write UTF-8 into pipes and files in every locale; what a terminal cannot show must not cost the answer."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        raise UsageProblem("standard output is closed, so an answer could not be given: nothing was done")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    sys.stderr = cast("TextIO", _Aside(sys.stderr))


class _Aside(io.TextIOBase):
    """Standard error, on which what cannot be written (it is closed, its disk is full) does not cost the answer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _give_up_standard_output() -> None:
    """Let Python's own attempt at exit to write what is left go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    try:
        status = _dispatch(words)
    except HelpAskedError as asked:
        print(asked)
        status = ANSWERED
    sys.stdout.flush()  # here, where a reader that has gone and a full disk are seen
    return status


def _dispatch(words: list[str]) -> int:
    commands: dict[str, Callable[[list[str]], int]] = {
        "profile": lambda rest: _print(profiles.run_words(Session(), rest, "llx profile")),
        "set": _set,
        "local": lambda rest: _print(local.run(shlex.join(rest), _progress(), "llx local")),
        "key": lambda rest: _print(keys.run(Session(), shlex.join(rest), _ask_hidden, "llx key")),
        "chat": lambda rest: _print(chat.run_words(Session().conversations, rest, "llx chat")),
        "demo": _demo,
        "help": lambda rest: _dispatch([*rest, "--help"]),
    }
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    return _prompt(words, tuple(commands))


def _prompt(words: list[str], commands: Sequence[str]) -> int:
    asked = grammar().read(words)
    if asked.version:
        print(f"llx {__version__}")
        return ANSWERED
    text = question(asked.question, asked.prompt, commands, partial(_remark, quiet=asked.quiet))
    session = Session(asker=_asker())
    options = _options(asked)
    if options.dry_run:
        print(printable(prompt.preview(*prompt.prepare(session, options, text)).text))
        return ANSWERED
    try:
        _answer(session, options, text)
    finally:
        if options.stats:
            print("\n" + statistics.report_of(session.balancer(options.profile)).text, file=sys.stderr)
        embedded.stop()
    return ANSWERED


def _options(asked: argparse.Namespace) -> prompt.PromptOptions:
    asked.param = [piped.argument(word, "--param") for word in asked.param]
    if asked.system is not None:
        asked.system = piped.argument(asked.system, "--system")
    return prompt.options_of(asked)


def _answer(session: Session, options: prompt.PromptOptions, text: str) -> Reply:
    balancer, asked = prompt.prepare(session, options, text)
    foreign = any(member.foreign for member in balancer.profile.members) or options.trust
    for note in (*(consent.lines(balancer.profile) if foreign else ()), *balancer.profile.notes):
        _remark(f"note: {one_line(note)}", quiet=options.quiet)
    live = sys.stdout.isatty() and options.shows_all and not options.no_stream
    view = TerminalView(sys.stdout, None if options.quiet else sys.stderr, live=live)
    try:
        reply = prompt.start(balancer, asked).follow(view.draw)
    except KeyboardInterrupt:
        view.give_up("interrupted")
        raise
    except AllBackendsFailed as failed:
        view.give_up("no backend could finish")
        if failed.partial and not sys.stdout.isatty():
            print(f"incomplete text of a backend that failed:\n{printable(failed.partial)}", file=sys.stderr)
        raise
    try:
        view.finish(replace(reply, text=in_form(reply.text, options.form)))
    except ReplyFormatError:
        print(printable(reply.text), file=sys.stderr)
        raise
    finally:
        _remark(footer(reply), quiet=options.quiet)
        prompt.remember(session, options, text, reply)
    return reply


def _remark(text: str, *, quiet: bool) -> None:
    """Say on stderr what is no error."""
    if not quiet:
        print(_for_a_shell(text), file=sys.stderr)


def _set(words: list[str]) -> int:
    if words == ["--list"]:
        words = []
    if len(words) > 1 or words[:1] == ["unset"] or "=" in "".join(words):
        raise UsageProblem(
            "llx set: a session ends with the command; give --set KEY=VALUE with a prompt, or with llx profile save"
        )
    return _print(settings.run(Session(), shlex.join(words), "llx set"))


def _demo(words: list[str]) -> int:
    parser = Grammar(
        "llx demo", "Ask a prompt of two backends: the first is unreachable, the second is real and local."
    )
    parser.add_argument("--prompt", default=DEMO_PROMPT, metavar="TEXT", help="another prompt than the demo's own")
    asked = parser.read(words)
    local.pull(_progress())
    os.environ.setdefault(VARIABLE, "llxprt:*")
    session = Session()
    try:
        session.load("demo")
        print(f"prompt: {one_line(asked.prompt)}\n", file=sys.stderr)
        reply = _answer(session, prompt.PromptOptions(), asked.prompt)
        print("\n" + statistics.report_of(session.balancer()).text, file=sys.stderr)
    finally:
        embedded.stop()
    print(f"\nThe first backend could not be reached, so {reply.backend} answered: a small model on this machine,")
    print("good enough to show the way, not to be relied on. Next: make lab, or %load_ext llx_magic in a notebook.")
    return ANSWERED


def _progress() -> local.ProgressBar:
    return local.ProgressBar(sys.stderr, live=sys.stderr.isatty())


def _asker() -> Asker | None:
    """Return what asks at a terminal, or None where nobody can be asked."""
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):  # <&- in a shell closes it
        return None

    def read(question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        if line := sys.stdin.readline():
            return line
        raise EOFError

    return trust.asker(read)


def _ask_hidden(question: str) -> str:
    """Ask on a terminal without showing what is typed, or take the first line of a pipe or file."""
    if sys.stdin.isatty():
        return getpass.getpass(question)
    if line := sys.stdin.readline():
        return line
    raise EOFError


def _print(output: Output) -> int:
    print(_for_a_shell(printable(output.text)))
    if output.aside:
        print(_for_a_shell(printable(output.aside)), file=sys.stderr)
    return ANSWERED


def _for_a_shell(text: str) -> str:
    """Name the commands as they are typed here: what is said below commands names the notebook's."""
    text = _LOADING.sub(r"llx -p \1", text)
    return _MAGIC.sub(lambda found: f"llx {found[1]}" if found[1] else "llx", text)


def _complain(problem: Exception, status: int) -> int:
    if isinstance(problem, AllBackendsFailed):
        text = "\n  ".join(map(printable, problem.lines()))
    else:
        text = one_line(str(problem), 2000)
    text = _for_a_shell(text)
    print(text if text.startswith("llx") else f"llx: {text}", file=sys.stderr)
    return status
