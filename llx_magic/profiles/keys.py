"""Where the key of a model profile comes from, looked up anew for each request."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from llx_magic.core.ports import KeySource
from llx_magic.errors import KeyMissing
from llx_magic.profiles.document import Connection, ModelProfile
from llx_magic.profiles.files import open_regular, reason
from llx_magic.profiles.keychain import KeyringProblem, key_problem, read_key
from llx_magic.profiles.names import shown
from llx_magic.profiles.secret import Secret

_LARGEST_KEY = 65_536

_Found = Secret | str | None
"""A key, or why a place that was named holds none, or None where the place was not named."""


def key_source(
    profile: ModelProfile, provider_variable: str | None, *, needs_key: bool, sends_to_own_host: bool
) -> KeySource:
    """Return where the profile's key is to be found.

    The places that the profile names come first, in this order: a literal key, an environment variable, the keyring,
    a file. Only where it names none does ``provider_variable`` (``OPENAI_API_KEY`` …) count, and only when the
    requests go to the provider's own host. ``needs_key`` says whether the backend refuses requests without one.
    """
    return _ProfileKeySource(
        profile.name, profile.provider, profile.connection, provider_variable, needs_key, sends_to_own_host
    )


@dataclass(frozen=True, slots=True)
class _ProfileKeySource:
    backend: str
    provider: str
    connection: Connection
    variable: str | None
    needs_key: bool
    own_host: bool

    @property
    def may_block(self) -> bool:
        """Whether the keyring may have to be asked."""
        return self.connection.auth_key_name is not None

    def read(self) -> str | None:
        """Return the key, or None where the backend needs none.

        Raises:
            KeyMissing: where one is named or needed and not to be found; one line, with the command that mends it.
        """
        found = self._found()
        if isinstance(found, str):
            raise KeyMissing(f"no key for {self.backend}: {found}")
        return None if found is None else found.reveal().strip()

    def _found(self) -> _Found:
        problems = []
        for look in (self._literal, self._environment, self._keyring, self._file):
            found = look()
            if isinstance(found, Secret):
                return found
            if found is not None:
                problems.append(found)
        return "; ".join(problems) if problems else self._usual()

    def _literal(self) -> _Found:
        key = self.connection.auth_key
        return None if key is None else _usable(key, "auth-key in the profile")

    def _environment(self) -> _Found:
        name = self.connection.auth_key_env
        if name is None:
            return None
        key = _variable(name)
        return f"set the environment variable {name}" if key is None else _usable(key, f"the variable {name}")

    def _keyring(self) -> _Found:
        name = self.connection.auth_key_name
        if name is None:
            return None
        try:
            key = read_key(name)
        except KeyringProblem as problem:
            return str(problem)
        return f"store it with %llx_key set {name}" if key is None else _usable(key, f"the key {name} in the keyring")

    def _file(self) -> _Found:
        name = self.connection.auth_keyfile
        return None if name is None else _read_key_file(name)

    def _usual(self) -> _Found:
        key = _variable(self.variable) if self.variable and self.own_host else None
        if key is not None:
            return _usable(key, f"the variable {self.variable}")
        if not self.needs_key:
            return None
        store = f"store one with %llx_key set {self.backend} and save the profile with --key-name {self.backend}"
        if self.variable and self.own_host:
            return f"set {self.variable}, or {store}"
        if self.variable:
            return (
                f"{self.variable} goes only to {self.provider}'s own host and base-url is another; save the profile "
                f"with --key-env {self.variable} to send it there, or {store}"
            )
        return store


def _variable(name: str) -> Secret | None:
    value = os.environ.get(name, "").strip()
    return Secret(value) if value else None


def _usable(key: Secret, where: str) -> Secret | str:
    problem = key_problem(key)
    return f"{where} cannot be used: {problem}" if problem else key


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
        return _usable(Secret(content.decode("utf-8-sig")), f"the key file {shown(path)}")
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
