"""``%llx_key`` and ``llx key``: keys in the operating system's keyring, or for this session where there is none."""

from __future__ import annotations

import argparse
import getpass
import warnings
from collections.abc import Callable

from llx_magic.commands.grammar import Grammar, shell_words
from llx_magic.commands.output import Output, bullet_list
from llx_magic.errors import UsageProblem
from llx_magic.files.names import check_name
from llx_magic.key_shapes import looks_like_a_key
from llx_magic.keys.keychain import Keychain, KeyringProblem, keep_for_session, read_key, session_key_names
from llx_magic.keys.secret import Secret
from llx_magic.session.session import Session

AskHidden = Callable[[str], str]
"""Asks a question and returns what was typed without showing it."""


ACTIONS = ("set", "list", "delete")


def grammar(prog: str = "%llx_key") -> Grammar:
    """Return the grammar of the command."""
    parser = Grammar(prog, "Keys in the operating system's keyring; a profile names one with --key-name.")
    where = ", or keep it for this session where there is no keyring." if _lasts(prog) else "."
    set_ = parser.add_action("set", f"Ask for a key without showing it, and store it{where}")
    set_.add_argument("name", metavar="NAME")
    set_.add_argument("key", nargs="*", help=argparse.SUPPRESS)  # typed here it would stay in the notebook
    parser.add_action("list", "List the names of the keys stored from here.")
    delete = parser.add_action("delete", "Remove a key from the keyring.")
    delete.add_argument("name", metavar="NAME")
    return parser


def run(session: Session, line: str, ask_hidden: AskHidden, prog: str = "%llx_key") -> Output:
    """Carry out the command.

    Raises:
        UsageProblem: for words that make no sense, a key typed into the command among them.
        LlxError: where the keyring cannot be used; a notebook keeps the key for its session instead.
    """
    asked = grammar(prog).read(_words(line, prog))
    keychain = Keychain(session.store.state_folder)
    match asked.action:
        case "set":
            return _set(keychain, asked.name, ask_hidden, prog, typed=bool(asked.key))
        case "delete":
            keychain.delete(asked.name)
            return Output(f"key {asked.name} is removed")
        case "list":
            return _list(keychain)
        case _:
            return Output(grammar(prog).format_help().rstrip())


def _words(line: str, prog: str) -> list[str]:
    """Split the line; whatever is no command may be a key, so no error may repeat it."""
    refusal = UsageProblem(f"{prog} takes set, list or delete; what was typed is not repeated, since it may be a key")
    try:
        words = shell_words(line)
    except UsageProblem:
        raise refusal from None
    if words and not words[0].startswith("-") and words[0] not in ACTIONS:
        raise refusal
    if len(words) > 1 and looks_like_a_key(words[1]):
        raise UsageProblem(
            f"{prog} {words[0]} takes the name of a key, of your choice; what was typed looks like the key itself, "
            "which is asked for without showing it; it is not repeated, but consider it as known to others"
        )
    return words


def _set(keychain: Keychain, name: str, ask_hidden: AskHidden, prog: str, *, typed: bool) -> Output:
    check_name(name, what="key name")
    if typed:
        raise UsageProblem(
            f"a key does not belong in a cell or a command, where it would be kept: type {prog} set {name} alone, "
            "you will be asked for it; and consider the key you typed as known to others"
        )
    no_keyring = ""
    try:
        read_key(name)  # a keyring that cannot be used is said before a key is asked for
    except KeyringProblem as problem:
        if not _lasts(prog):
            raise
        no_keyring = str(problem)
    key = _asked(ask_hidden, name, "kept for this session only" if no_keyring else "stored in the keyring")
    uses_it = f"a profile uses it with --key-name {name}"
    try:
        if not no_keyring:
            return Output(f"key {name} is {'replaced' if keychain.set(name, key) else 'stored'}; {uses_it}")
    except KeyringProblem as problem:
        if not _lasts(prog):
            raise
        no_keyring = str(problem)
    keep_for_session(name, key)
    return Output(f"key {name} is kept in memory, for this session only; {uses_it} ({no_keyring})")


def _lasts(prog: str) -> bool:
    """Return whether the process goes on after the command, so that a key in its memory is of use."""
    return prog.startswith("%")


def _list(keychain: Keychain) -> Output:
    here = session_key_names()
    names = sorted({*keychain.names(), *here})
    if not names:
        return Output("no key has been stored from here")
    return Output(bullet_list("keys:", (f"{name} (this session)" if name in here else name for name in names)))


def _asked(ask_hidden: AskHidden, name: str, then: str) -> Secret:
    """Ask for the key, unless it would be shown while it is typed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return Secret(ask_hidden(f"key {name} (not shown, {then}): "))
    except EOFError:
        problem = "the input ended before a key was given"
    except RuntimeError:  # what a front end without input raises is a kind of it
        problem = "this front end has no input to ask for a key with; type llx key set NAME in a terminal"
    except getpass.GetPassWarning:
        problem = "the input here would show the key; type it in a terminal"
    raise UsageProblem(f"key {name} is not stored: {problem.replace('NAME', name)}")
