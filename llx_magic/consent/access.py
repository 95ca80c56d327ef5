"""The one place where keys are looked up. It reads only keys that the profile's file may send to its host."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llx_magic.consent.pairs import KeyPlace
from llx_magic.consent.trust import Foreign
from llx_magic.files.private import open_regular, reason
from llx_magic.keys.keychain import read_key, session_key
from llx_magic.keys.logins.login import Login
from llx_magic.keys.secret import Proof, Secret
from llx_magic.text.wording import shown_path

_LARGEST_KEY: Final = 65_536

Found = Secret | str | None
"""What is at a place: a secret, or why it cannot be had, or None where the place is empty."""


@dataclass(frozen=True, slots=True)
class Access:
    """The keys that one model profile may look up.

    ``foreign`` is None where the profile's file is the user's own; such a file may name any place. Otherwise the
    user must have allowed the pair of the place and ``host``, the host that the profile's requests go to. Consent is
    looked up anew each time.
    """

    foreign: Foreign | None = None
    host: str | None = None

    def refusal(self, place: KeyPlace) -> str | None:
        """Return in one line why the place may not be looked into, or None where it may."""
        return None if self.foreign is None else self.foreign.refusal(place, self.host)

    def variable(self, name: str) -> Found:
        """Return the value of an environment variable, without white space around it."""
        if problem := self.refusal(KeyPlace("variable", name)):
            return problem
        value = os.environ.get(name, "").strip()
        return Secret(value) if value else None

    def kept(self, name: str) -> Found:
        """Return the key of that name that is kept for this session only."""
        return self.refusal(KeyPlace("keyring", name)) or session_key(name)

    def stored(self, name: str) -> Found:
        """Return the key of that name in the operating system's keyring, which may take long.

        Raises:
            KeyringProblem: where the keyring cannot be used.
        """
        return self.refusal(KeyPlace("keyring", name)) or read_key(name)

    def file(self, name: str) -> Secret | str:
        """Return the content of a key file. Links are followed, and consent is to the path of the file itself."""
        place = file_place(name)
        if place is None:
            return f"the key file {shown_path(Path(name))} cannot be read (no such home folder)"
        return self.refusal(place) or _read_key_file(Path(name).expanduser(), Path(place.name))

    def login(self, login: Login) -> Proof | str:
        """Return what a login gives, which may take long.

        Raises:
            LoginProblem: where it gives nothing.
        """
        return self.refusal(login_place(login)) or login.read()


OWN: Final = Access()
"""The access of a profile of the user's own: every place."""


def is_set(name: str) -> bool:
    """Return whether an environment variable holds anything."""
    return bool(os.environ.get(name, "").strip())


def login_place(login: Login) -> KeyPlace:
    """Return the place that a login is to the user who consents to it."""
    return KeyPlace(login.kind, login.name)


def file_place(name: str) -> KeyPlace | None:
    """Return the place that a key file's name means now, or None where its home folder is not known."""
    try:
        return KeyPlace("file", os.path.realpath(Path(name).expanduser()))
    except (RuntimeError, OSError, ValueError):
        return None


def _read_key_file(named: Path, path: Path) -> Secret | str:
    try:
        with open_regular(path, follow_links=False) as file:
            found = os.fstat(file.fileno())
            if found.st_size > _LARGEST_KEY:
                return f"the key file {shown_path(named)} is too large for a key"
            if sys.platform != "win32" and found.st_mode & 0o077:
                name = shown_path(named)
                plain = shlex.quote(name.removeprefix("~/")) == name.removeprefix("~/")
                return (
                    f"the key file can be read by others; type: chmod 600 {name if plain else shlex.quote(str(named))}"
                )
            content = file.read(_LARGEST_KEY)
    except (OSError, ValueError) as problem:
        return f"the key file {shown_path(named)} cannot be read ({reason(problem)})"
    try:
        return Secret(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return f"the key file {shown_path(named)} is not text in UTF-8"
