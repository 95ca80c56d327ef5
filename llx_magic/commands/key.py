"""Keys in the operating system's keyring: ``%llx_key`` and ``llx key``."""

from __future__ import annotations

from llx_magic.commands import sources
from llx_magic.commands.command import ANYWHERE, Argument, Command, Where

_RUN = "llx_magic.commands.keys"
_NAME = Argument("name", "NAME", complete=sources.key_names)

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
