"""Settings: ``%llx_set`` and ``llx set``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.commands import sources
from llx_magic.commands.command import Argument, Command, Option
from llx_magic.commands.output import Output
from llx_magic.commands.where import Where
from llx_magic.errors import SettingError, UsageProblem
from llx_magic.key_shapes import typed_key
from llx_magic.keys.names import names_a_secret
from llx_magic.settings.declaration import SETTINGS, setting
from llx_magic.settings.help import HEADINGS, help_text, rows
from llx_magic.text.wording import nearest

if TYPE_CHECKING:
    from llx_magic.commands.here import Here
    from llx_magic.commands.reading import Asked
    from llx_magic.session.session import Session

_RUN = "llx_magic.commands.set"

COMMAND = Command(
    run=f"{_RUN}:run",
    arguments=(
        Argument(
            "words",
            "KEY [VALUE]",
            "a setting: its help; with a value: checked, and set for this session (KEY=VALUE does the same; none "
            "switches an optional setting off)",
            complete=sources.setting_and_value,
            many=True,
            where=Where.NOTEBOOK,
        ),
        Argument("words", "KEY", "a setting: its help", complete=sources.setting_names, many=True, where=Where.SHELL),
    ),
    options=(Option("--list", "", "the table of every setting, as without a word", alone=True),),
    actions=(
        Command(
            "unset",
            "Remove the session's value.",
            run=f"{_RUN}:unset",
            arguments=(Argument("keys", "KEY", complete=sources.set_here, many=True, group="which"),),
            options=(Option("--all", "", "all of the session's values", group="which"),),
            where=Where.NOTEBOOK,
        ),
    ),
    notes={
        Where.SHELL: 'llx "QUESTION" --set KEY=VALUE sets one for a prompt; llx profile save ... --set KEY=VALUE saves '
        "one."
    },
)


def run(here: Here, asked: Asked) -> Output:
    """Show every setting, or the help of one; set one for the session.

    Raises:
        SettingError: for an unknown setting or a value that is not allowed; nothing changes.
        UsageProblem: for a value in a shell, where it would last no longer than the command.
    """
    words = asked.all("words")
    if not words:
        return table(here.session)
    if names_a_secret(words[0].partition("=")[0]):
        raise SettingError(f"there is no such setting; {typed_key()}")
    if not here.lasts and (len(words) > 1 or words == ["unset"] or "=" in words[0]):
        raise UsageProblem(
            "llx set: a session ends with the command; give --set KEY=VALUE with a prompt, or with llx profile save"
        )
    first, *more = (word.partition("=")[0] for word in words)
    if first in SETTINGS and (more := [name for name in more if name in SETTINGS]):
        raise SettingError(f"one setting is set at a time; set {more[0]} by a line of its own; nothing was set")
    key, assigned, value = " ".join(words).partition("=")
    if assigned and " " not in key.strip():
        return _set(here.session, key.strip(), value.strip())
    key, *values = words
    if not values:
        setting(key)
        return Output(help_text(key, here.session.resolved()[key], here.session.profile_name))
    if key not in SETTINGS:
        raise SettingError(f"unknown setting {key!r}{nearest(key, (*SETTINGS, 'unset'))}")
    return _set(here.session, key, " ".join(values))


def table(session: Session) -> Output:
    """Return the table of every setting."""
    from llx_magic.observe.narrow import screen_width
    from llx_magic.observe.report import html_table, text_table

    found = rows(session.resolved(), session.profile_name)
    return Output(text_table(HEADINGS, found, width=screen_width()), html_table(HEADINGS, found))


def unset(here: Here, asked: Asked) -> Output:
    """Remove the session's values.

    Raises:
        SettingError: for an unknown setting; nothing changes.
        UsageProblem: where none is named.
    """
    if "all" in asked:
        gone = here.session.unset_all()
        return Output(f"removed from this session: {', '.join(gone)}" if gone else "this session had set nothing")
    if not asked.all("keys"):
        raise UsageProblem("unset takes the name of a setting, or --all")
    for key in asked.all("keys"):
        setting(key)
    said = []
    for key in asked.all("keys"):
        had, now = here.session.unset(key), here.session.resolved()[key]
        state = f"{SETTINGS[key].show(now.value)} (from: {now.origin(here.session.profile_name)})"
        said.append(f"{key} is now {state}" if had else f"{key} was not set in this session; {key} is {state}")
    return Output("\n".join(said))


def _set(session: Session, key: str, raw: str) -> Output:
    value = session.set(key, raw)
    return Output(f"{key} = {SETTINGS[key].show_with_unit(value)} for this session")
