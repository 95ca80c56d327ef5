"""The ``llx`` command: the reply on stdout, everything else on stderr."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence

from llx_magic import __version__
from llx_magic.backends import local as embedded
from llx_magic.commands import chat, keys, local, profiles, prompt, settings, statistics
from llx_magic.commands.footer import footer
from llx_magic.commands.grammar import Grammar, HelpAskedError
from llx_magic.commands.output import Output
from llx_magic.commands.terminal import TerminalView
from llx_magic.core.reply import Reply
from llx_magic.core.text import one_line, printable
from llx_magic.errors import AllBackendsFailed, LlxError, UsageProblem
from llx_magic.observe.debug import VARIABLE
from llx_magic.session.session import Session

ANSWERED, NO_ANSWER, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

DEMO_PROMPT = "What is the capital of France? Answer in one sentence."

_MAGIC = re.compile(r"%{1,2}llx(?:_([a-z]+))?")

_EPILOGUE = """
other commands (each has --help):
  llx profile ...   save, load, list, show and delete profiles
  llx set ...       every setting, and help for each
  llx local ...     fetch, look at and stop the embedded model
  llx key ...       keys in the operating system's keyring
  llx chat ...      the named conversations
  llx demo          a prompt that fails over, for real, to the embedded model

exit status: 0 answered, 1 no backend could answer, 2 bad usage, 130 interrupted
"""


def grammar() -> Grammar:
    """Return the grammar of the command without a subcommand: one prompt."""
    parser = Grammar("llx", "Ask a prompt of the best backend that is up.")
    parser.epilog = _EPILOGUE
    prompt.add_prompt_options(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="the prompt; - reads it from standard input")
    parser.add_argument("--stats", action="store_true", help="the statistics afterwards, on stderr")
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 must not cost the answer
    try:
        return _dispatch(list(sys.argv[1:] if words is None else words))
    except HelpAskedError as asked:
        print(asked)
        return ANSWERED
    except UsageProblem as problem:
        return _complain(problem, BAD_USAGE)
    except LlxError as problem:
        return _complain(problem, NO_ANSWER)
    except KeyboardInterrupt:
        print("llx: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has gone, and nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_ANSWER


def _dispatch(words: list[str]) -> int:
    commands: dict[str, Callable[[list[str]], int]] = {
        "profile": lambda rest: _print(profiles.run_words(Session(), rest, "llx profile")),
        "set": _set,
        "local": lambda rest: _print(local.run(shlex.join(rest), _progress(), "llx local")),
        "key": lambda rest: _print(keys.run(Session(), shlex.join(rest), _ask_hidden, "llx key")),
        "chat": lambda rest: _print(chat.run_words(Session().conversations, rest, "llx chat")),
        "demo": _demo,
    }
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    if words and not words[0].startswith("-"):
        raise UsageProblem(f"unknown command {words[0]!r}; to ask something: llx --prompt {shlex.quote(words[0])}")
    return _prompt(words)


def _prompt(words: list[str]) -> int:
    asked = grammar().read(words)
    if asked.version:
        print(f"llx {__version__}")
        return ANSWERED
    if asked.prompt is None:
        raise UsageProblem("llx: no prompt; give --prompt TEXT, or --prompt - to read it (see llx --help)")
    text = _standard_input() if asked.prompt == "-" else asked.prompt
    session = Session()
    options = prompt.options_of(asked)
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


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as problem:
        raise UsageProblem(
            f"standard input is not text in {problem.encoding}: byte {problem.object[problem.start]:#04x} "
            f"at position {problem.start}"
        ) from None


def _answer(session: Session, options: prompt.PromptOptions, text: str) -> Reply:
    balancer, asked = prompt.prepare(session, options, text)
    for note in balancer.profile.notes:
        print(f"note: {_for_a_shell(one_line(note))}", file=sys.stderr)
    view = TerminalView(sys.stdout, sys.stderr, live=sys.stdout.isatty() and not options.no_stream)
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
    view.finish(reply)
    print(footer(reply), file=sys.stderr)
    prompt.remember(session, options, text, reply)
    return reply


def _set(words: list[str]) -> int:
    if words == ["--list"]:
        words = []
    if len(words) > 1 or words[:1] == ["unset"]:
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


def _ask_hidden(question: str) -> str:
    """Ask on a terminal without showing what is typed, or take the first line of a pipe or file."""
    if sys.stdin.isatty():
        return getpass.getpass(question)
    if line := sys.stdin.readline():
        return line
    raise EOFError


def _print(output: Output) -> int:
    print(_for_a_shell(printable(output.text)))
    return ANSWERED


def _for_a_shell(text: str) -> str:
    """Name the commands as they are typed here: what is said below commands names the notebook's."""
    return _MAGIC.sub(lambda found: f"llx {found[1]}" if found[1] else "llx", text)


def _complain(problem: Exception, status: int) -> int:
    text = _for_a_shell(one_line(str(problem), 2000))
    print(text if text.startswith("llx") else f"llx: {text}", file=sys.stderr)
    return status
