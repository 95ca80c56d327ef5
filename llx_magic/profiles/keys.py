"""Where the key of a model profile comes from, looked up anew for each request."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from llx_magic.errors import KeyMissing
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.profiles.files import open_regular, reason
from llx_magic.profiles.key_shapes import placeholder_problem
from llx_magic.profiles.keychain import KeyringProblem, key_problem, read_key, session_key
from llx_magic.profiles.names import shown
from llx_magic.profiles.secret import Secret

_LARGEST_KEY = 65_536

FOUND = "found"
MISSING = "missing"
NONE_NEEDED = "none needed"
"""How ``describe`` begins."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A key and the place where it was found, as a sentence names it."""

    key: Secret
    place: str


_Found = _Held | str | None
"""A key, or why a place that was named holds none, or None where the place was not named."""


def key_source(
    profile: ModelProfile,
    provider_variable: str | None,
    *,
    needs_key: bool,
    sends_to_own_host: bool,
    is_local: bool = False,
) -> ProfileKeySource:
    """Return where the profile's key is to be found.

    The places that the profile names come first, in this order: a literal key, an environment variable, the keyring,
    a file. Only where it names none does ``provider_variable`` (``OPENAI_API_KEY`` …) count, and only when the
    requests go to the provider's own host. ``needs_key`` says whether the backend refuses requests without one.
    ``is_local`` says that it is on this machine, where any word may stand for a key.
    """
    return ProfileKeySource(profile, provider_variable, needs_key, sends_to_own_host, is_local)


@dataclass(frozen=True, slots=True)
class ProfileKeySource:
    """Reads the key of one model profile; ``key_source`` makes it."""

    profile: ModelProfile
    variable: str | None
    needs_key: bool
    own_host: bool
    is_local: bool

    @property
    def backend(self) -> str:
        """The profile's name."""
        return self.profile.name

    @property
    def connection(self) -> Connection:
        """Where the profile says that its key is."""
        return self.profile.connection

    @property
    def may_block(self) -> bool:
        """Whether the keyring may have to be asked."""
        name = self.connection.auth_key_name
        return name is not None and session_key(name) is None

    def read(self) -> str | None:
        """Return the key, or None where the backend needs none.

        Raises:
            KeyMissing: where one is named or needed and not to be found; one line, with the command that mends it.
        """
        found = self._found()
        if isinstance(found, str):
            raise KeyMissing(f"no key for {self.backend}: {found}")
        return None if found is None else found.key.reveal().strip()

    def describe(self) -> str:
        """Say where the key is found, that none is needed, or what is missing, without the key.

        It looks in the keyring, as ``read`` does, and so may take as long.
        """
        found = self._found()
        if isinstance(found, str):
            return f"{MISSING}: {found}"
        return NONE_NEEDED if found is None else f"{FOUND}: {found.place}"

    def _found(self) -> _Found:
        problems = []
        for look in (self._literal, self._environment, self._keyring, self._file):
            found = look()
            if isinstance(found, _Held):
                return found
            if found is not None:
                problems.append(found)
        return "; ".join(problems) if problems else self._usual()

    def _literal(self) -> _Found:
        key = self.connection.auth_key
        return None if key is None else self._usable(key, "auth-key in the profile")

    def _environment(self) -> _Found:
        name = self.connection.auth_key_env
        if name is None:
            return None
        key = _variable(name)
        return f"set the environment variable {name}" if key is None else self._usable(key, f"the variable {name}")

    def _keyring(self) -> _Found:
        name = self.connection.auth_key_name
        if name is None:
            return None
        if kept := session_key(name):
            return self._usable(kept, f"the key {name} of this session")
        try:
            key = read_key(name)
        except KeyringProblem as problem:
            return f"{problem}, or type %llx_key set {name} to keep the key for this session"
        if key is None:
            return f"store it with %llx_key set {name}"
        return self._usable(key, f"the key {name} in the keyring")

    def _file(self) -> _Found:
        name = self.connection.auth_keyfile
        if name is None:
            return None
        found = _read_key_file(name)
        return found if isinstance(found, str) else self._usable(found, f"the key file {shown(Path(name))}")

    def _usual(self) -> _Found:
        key = _variable(self.variable) if self.variable and self.own_host else None
        if key is not None:
            return self._usable(key, f"the variable {self.variable}")
        if not self.needs_key:
            return None
        store = f"store one with %llx_key set {self.backend} and save the profile with --key-name {self.backend}"
        if self.variable and self.own_host:
            return f"set {self.variable}, or {store}"
        if self.variable:
            return (
                f"{self.variable} goes only to {self.profile.provider}'s own host and base-url is another; save the "
                f"profile with --key-env {self.variable} to send it there, or {store}"
            )
        return store

    def _usable(self, key: Secret, where: str) -> _Held | str:
        problem = key_problem(key)
        if problem is None and not self.is_local:
            problem = placeholder_problem(key.reveal(), provider_needs_key=self.needs_key)
        return f"{where} cannot be used: {problem}" if problem else _Held(key, where)


def _variable(name: str) -> Secret | None:
    value = os.environ.get(name, "").strip()
    return Secret(value) if value else None


def _read_key_file(name: str) -> Secret | str:
    try:
        path = Path(name).expanduser()
        with open_regular(path, follow_links=True) as file:
            found = os.fstat(file.fileno())
            if problem := _file_problem(path, found):
                return problem
            content = file.read(_LARGEST_KEY)
    except (OSError, ValueError) as problem:
        return f"the key file {shown(Path(name))} cannot be read ({reason(problem)})"
    except RuntimeError:
        return f"the key file {shown(Path(name))} cannot be read (no such home folder)"
    try:
        return Secret(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return f"the key file {shown(path)} is not text in UTF-8"


def _file_problem(path: Path, found: os.stat_result) -> str | None:
    if found.st_size > _LARGEST_KEY:
        return f"the key file {shown(path)} is too large for a key"
    if sys.platform != "win32" and found.st_mode & 0o077:
        name = shown(path)
        quoted = name if shlex.quote(name.removeprefix("~/")) == name.removeprefix("~/") else shlex.quote(str(path))
        return f"the key file can be read by others; type: chmod 600 {quoted}"
    return None
