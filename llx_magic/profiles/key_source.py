"""Where the key of a model profile comes from, looked up anew for each request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import msgspec

from llx_magic.consent.access import OWN, Access, file_place, is_set
from llx_magic.consent.pairs import KeyPlace
from llx_magic.errors import KeyMissing, without_key
from llx_magic.hosts import command, is_notebook
from llx_magic.key_shapes import placeholder_problem
from llx_magic.keys.keychain import KeyringProblem, key_problem, session_key
from llx_magic.keys.secret import Secret
from llx_magic.profiles.document import ModelProfile
from llx_magic.text.wording import shown_path

FOUND = "found"
MISSING = "missing"
NONE_NEEDED = "none needed"
"""The words that ``describe`` begins with."""


class _Held(msgspec.Struct, frozen=True, gc=False):
    """A key and the place where it was found, as a sentence names it."""

    key: Secret
    place: str


_Found = _Held | str | None
"""A key, or why a named place holds none, or None if the profile does not name the place."""


@dataclass(frozen=True, slots=True)
class ProfileKeySource:
    """Reads the key of one model profile.

    The places that the profile names come first, in this order: a literal key, an environment variable, the keyring,
    a file. Only where it names none does the provider's ``variable`` (``OPENAI_API_KEY`` …) count, and only when the
    requests go to the provider's ``own_host``. ``needs_key`` says whether the backend refuses requests without a key.
    ``is_local`` says that the backend is on this machine, where any word may serve as a key. ``access`` looks the
    keys up.
    """

    profile: ModelProfile
    variable: str | None
    _: KW_ONLY
    needs_key: bool
    own_host: bool
    is_local: bool = False
    access: Access = OWN

    @property
    def may_block(self) -> bool:
        """Whether the keyring may have to be asked."""
        name = self.profile.connection.auth_key_name
        return name is not None and session_key(name) is None

    @property
    def silence(self) -> str:
        """What to say where reading takes too long."""
        return "the keyring does not answer; unlock it, or save the profile with another place for its key"

    @property
    def is_named(self) -> bool:
        """Whether there is a place to look for a key, or one is in the profile itself."""
        named = self.profile.connection
        return named.auth_key is not None or named.auth_keyfile is not None or bool(self.places)

    @property
    def places(self) -> tuple[KeyPlace, ...]:
        """Where the key is looked for, in order; a key in the profile itself has no place."""
        named = self.profile.connection
        if named.auth_key is not None:
            return ()
        found = [
            KeyPlace("variable", named.auth_key_env) if named.auth_key_env else None,
            KeyPlace("keyring", named.auth_key_name) if named.auth_key_name else None,
            file_place(named.auth_keyfile) if named.auth_keyfile else None,
        ]
        places = tuple(place for place in found if place is not None)
        if not places and not named.auth_keyfile and self.usual_variable and is_set(self.usual_variable):
            return (KeyPlace("variable", self.usual_variable),)
        return places

    def read(self) -> Secret | None:
        """Return the key, or None where the backend needs none.

        Raises:
            KeyMissing: where a key is named or needed and is not found; one line, with the command that sets it.
        """
        found = self._found()
        if isinstance(found, str):
            raise KeyMissing(without_key(self.profile.name, found))
        return None if found is None else found.key

    def describe(self) -> str:
        """Say where the key is found, that none is needed, or what is missing, without the key.

        It looks into the keyring, so it may take as long as ``read``.
        """
        found = self._found()
        if isinstance(found, str):
            return f"{MISSING}: {found}"
        return NONE_NEEDED if found is None else f"{FOUND}: {found.place}"

    def _found(self) -> _Found:
        problems = []
        for found in self._named():
            if isinstance(found, _Held):
                return found
            problems.append(found)
        return "; ".join(problems) if problems else self._usual()

    def _named(self) -> Iterator[_Held | str]:
        """Yield what is at each of the places that the profile names."""
        named = self.profile.connection
        if named.auth_key is not None:
            yield self._usable(named.auth_key, "auth-key in the profile")
        if (name := named.auth_key_env) is not None:
            found = self.access.variable(name) or f"set the environment variable {name}"
            yield self._usable(found, f"the variable {name}")
        if (name := named.auth_key_name) is not None:
            yield self._keyring(name)
        if (name := named.auth_keyfile) is not None:
            yield self._usable(self.access.file(name), f"the key file {shown_path(Path(name))}")

    def _keyring(self, name: str) -> _Held | str:
        if kept := self.access.kept(name):
            return self._usable(kept, f"the key {name} of this session")
        try:
            found = self.access.stored(name) or f"store it with {command(f'key set {name}')}"
        except KeyringProblem as problem:
            keep = f", or type {command(f'key set {name}')} to keep the key for this session" if is_notebook() else ""
            return f"{problem}{keep}"
        return self._usable(found, f"the key {name} in the keyring")

    @property
    def usual_variable(self) -> str | None:
        """The provider's usual variable, if its key may be sent to this address; used if the profile names no place."""
        return self.variable if self.own_host else None

    def _usual(self) -> _Found:
        usual = self.usual_variable
        if usual and is_set(usual) and (found := self.access.variable(usual)) is not None:
            return self._usable(found, f"the variable {usual}")
        if not self.needs_key:
            return None
        keep = command(f"key set {self.profile.name}")
        store = f"store one with {keep} and save the profile with --key-name {self.profile.name}"
        if usual:
            return f"set {usual}, or {store}"
        if self.variable:
            return (
                f"{self.variable} goes only to {self.profile.provider}'s own host and base-url is another; save the "
                f"profile with --key-env {self.variable} to send it there, or {store}"
            )
        return store

    def _usable(self, found: Secret | str, where: str) -> _Held | str:
        """Return the key with the place where it was found, or one line that says why there is no usable key."""
        if isinstance(found, str):
            return found
        problem = key_problem(found)
        if problem is None and not self.is_local:
            problem = placeholder_problem(found.reveal(), provider_needs_key=self.needs_key)
        return f"{where} cannot be used: {problem}" if problem else _Held(Secret(found.reveal().strip()), where)
