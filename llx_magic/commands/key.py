"""Keys in the operating system's keyring, or for this session without one: ``%llx_key`` and ``llx key``."""

from __future__ import annotations

import getpass
import warnings

from llx_magic.commands.command import Argument, Command
from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, bullet_list
from llx_magic.commands.reading import Asked
from llx_magic.commands.sources import key_names
from llx_magic.commands.where import ANYWHERE, Where
from llx_magic.errors import UsageProblem
from llx_magic.files.names import check_name
from llx_magic.hosts import command
from llx_magic.key_shapes import looks_like_a_key
from llx_magic.keys.keychain import Keychain, KeyringProblem, keep_for_session, read_key, session_key_names
from llx_magic.keys.secret import Secret

_RUN = "llx_magic.commands.key"
_NAME = Argument("name", "NAME", complete=key_names)

COMMAND = Command(
    secret=True,
    actions=(
        Command(
            "set",
            "Ask for a key without showing it, and store it.",
            run=f"{_RUN}:store",
            arguments=(_NAME, Argument("key", "KEY", many=True, hidden=True)),  # typed here it would stay
        ),
        Command("list", "List the names of the keys stored from here.", run=f"{_RUN}:listed"),
        Command("delete", "Remove a key from the keyring.", run=f"{_RUN}:delete", arguments=(_NAME,)),
    ),
    notes={
        ANYWHERE: "A profile names a key with --key-name.",
        Where.NOTEBOOK: "Where there is no keyring a key is kept for this session.",
    },
)


def store(here: Here, asked: Asked) -> Output:
    """Ask for a key and store it; a notebook keeps it for its session where the keyring cannot.

    Raises:
        UsageProblem: for a key that is typed into the command, and for a name that is none.
        LlxError: where the keyring cannot be used, on a command line.
    """
    keychain, name = Keychain(here.session.store.state_folder), _name(asked)
    if asked.all("key"):
        raise UsageProblem(
            f"a key does not belong in a cell or a command, where it would be kept: type {command(f'key set {name}')} "
            "alone, you will be asked for it; and consider the key you typed as known to others"
        )
    no_keyring = ""
    try:
        read_key(name)  # a keyring that cannot be used is said before a key is asked for
    except KeyringProblem as problem:
        if not here.lasts:
            raise
        no_keyring = str(problem)
    key = _asked(here, name, "kept for this session only" if no_keyring else "stored in the keyring")
    uses_it = f"a profile uses it with --key-name {name}"
    try:
        if not no_keyring:
            return Output(f"key {name} is {'replaced' if keychain.set(name, key) else 'stored'}; {uses_it}")
    except KeyringProblem as problem:
        if not here.lasts:
            raise
        no_keyring = str(problem)
    keep_for_session(name, key)
    return Output(f"key {name} is kept in memory, for this session only; {uses_it} ({no_keyring})")


def delete(here: Here, asked: Asked) -> Output:
    """Remove a key. An error for one that was not stored from here is the keychain's."""
    Keychain(here.session.store.state_folder).delete(_name(asked))
    return Output(f"key {asked['name']} is removed")


def listed(here: Here, _asked: Asked) -> Output:
    """List the names of the keys."""
    session_keys = session_key_names()
    names = sorted({*Keychain(here.session.store.state_folder).names(), *session_keys})
    if not names:
        return Output("no key has been stored from here")
    return Output(bullet_list("keys:", (f"{name} (this session)" if name in session_keys else name for name in names)))


def _name(asked: Asked) -> str:
    """Return the name of a key, which must not be the key itself."""
    if looks_like_a_key(asked["name"]):
        raise UsageProblem(
            f"{asked.prog} takes the name of a key, of your choice; what was typed looks like the key itself, which is "
            "asked for without showing it; it is not repeated, but consider it as known to others"
        )
    check_name(asked["name"], what="key name")
    return asked["name"]


def _asked(here: Here, name: str, then: str) -> Secret:
    """Ask for the key, unless it would be shown while it is typed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return Secret(here.ask_hidden(f"key {name} (not shown, {then}): "))
    except EOFError:
        problem = "the input ended before a key was given"
    except RuntimeError:  # what a front end without input raises is a kind of it
        problem = "this front end has no input to ask for a key with; type llx key set NAME in a terminal"
    except getpass.GetPassWarning:
        problem = "the input here would show the key; type it in a terminal"
    raise UsageProblem(f"key {name} is not stored: {problem.replace('NAME', name)}")
