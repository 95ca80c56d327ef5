"""``%llx_set`` and ``llx set``: every setting, its help, and the session's values."""

from __future__ import annotations

import re

from llx_magic.commands.grammar import Grammar, shell_words
from llx_magic.commands.output import Output, text_table
from llx_magic.errors import SettingError, UsageProblem
from llx_magic.observe.report import html_table
from llx_magic.session.session import Session
from llx_magic.settings.declaration import SETTINGS, setting
from llx_magic.settings.help import HEADINGS, help_text, rows
from llx_magic.text.wording import nearest

_ASSIGNMENT = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*=\s*")


def grammar(prog: str = "%llx_set") -> Grammar:
    """Return the grammar of the command."""
    if not prog.startswith("%"):
        return _command_line_grammar(prog)
    parser = Grammar(
        prog,
        f"""Show and change the settings of this session.

  {prog}                 every setting: value, where it comes from, default, unit, meaning
  {prog} KEY             help for one setting, and its present value
  {prog} KEY VALUE       check the value and set it for this session (none switches an optional setting off);
                           KEY=VALUE does the same
  {prog} unset KEY       remove the session's value
  {prog} unset --all     remove all of the session's values
""",
    )
    parser.add_argument("words", nargs="*", metavar="KEY [VALUE]", help="a setting, and what to set it to")
    parser.add_argument("--all", action="store_true", help="with unset: all of them")
    parser.add_argument("--list", action="store_true", help="the table of every setting")
    return parser


def _command_line_grammar(prog: str) -> Grammar:
    """Return a grammar without what would last no longer than the command."""
    parser = Grammar(
        prog,
        f"""Show the settings.

  {prog}                 every setting: value, where it comes from, default, unit, meaning
  {prog} KEY             help for one setting

llx --prompt TEXT --set KEY=VALUE sets one for a prompt; llx profile save ... --set KEY=VALUE saves one.
""",
    )
    parser.add_argument("words", nargs="*", metavar="KEY", help="a setting")
    parser.add_argument("--list", action="store_true", help="the table of every setting")
    parser.set_defaults(all=False)
    return parser


def run(session: Session, line: str, prog: str = "%llx_set") -> Output:
    """Carry out the command.

    Raises:
        SettingError: for an unknown setting or a value that is not allowed; nothing changes.
        UsageProblem: for words that make no sense.
    """
    if assigned := _ASSIGNMENT.match(line):
        return _set(session, assigned[1], " ".join(shell_words(line[assigned.end() :])))
    words = shell_words(line)
    if len(words) > 1 and words[0] in SETTINGS and not {"-h", "--help"} & set(words):
        return _set(session, words[0], " ".join(words[1:]))  # a value may begin with a dash: -500
    asked = grammar(prog).read(words)
    match asked.words:
        case []:
            if asked.all:
                raise UsageProblem(f"{prog}: --all goes with unset")
            return table(session)
        case ["unset", *keys]:
            return _unset(session, tuple(keys), everything=asked.all)
        case [key]:
            setting(key)
            return Output(help_text(key, session.resolved()[key]))
        case [key, *_]:
            raise SettingError(f"unknown setting {key!r}{nearest(key, (*SETTINGS, 'unset'))}")
    raise UsageProblem(f"{prog}: cannot make sense of {line!r}")


def table(session: Session) -> Output:
    """Return the table of every setting."""
    found = rows(session.resolved())
    return Output(text_table(HEADINGS, found), html_table(HEADINGS, found))


def _set(session: Session, key: str, raw: str) -> Output:
    value = session.set(key, raw)
    return Output(f"{key} = {SETTINGS[key].show_with_unit(value)} for this session")


def _unset(session: Session, keys: tuple[str, ...], *, everything: bool) -> Output:
    if everything:
        gone = session.unset_all()
        return Output(f"removed from this session: {', '.join(gone)}" if gone else "this session had set nothing")
    if not keys:
        raise UsageProblem("unset takes the name of a setting, or --all")
    for key in keys:
        setting(key)
    return Output("\n".join(_unset_one(session, key) for key in keys))


def _unset_one(session: Session, key: str) -> str:
    had = session.unset(key)
    now = session.resolved()[key]
    state = f"{key} is now {SETTINGS[key].show(now.value)} (from: {now.layer})"
    return state if had else f"{key} was not set in this session; {state.replace(' is now ', ' is ')}"
