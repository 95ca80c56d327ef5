"""What the requests of a model profile prove themselves with: its key and the headers that it adds."""

from __future__ import annotations

from dataclasses import dataclass

from llx_magic.consent.pairs import KeyPlace
from llx_magic.errors import KeyMissing
from llx_magic.keys.secret import Proof
from llx_magic.profiles.headers import HeaderSource
from llx_magic.profiles.key_source import FOUND, MISSING, NONE_NEEDED, ProfileKeySource


@dataclass(frozen=True, slots=True)
class ProfileCredential:
    """The credential of one model profile, looked up anew each time."""

    key: ProfileKeySource
    headers: HeaderSource

    @property
    def may_block(self) -> bool:
        """Whether the keyring may have to be asked."""
        return self.key.may_block

    @property
    def places(self) -> tuple[KeyPlace, ...]:
        """Where the key and the values of headers are looked up."""
        return (*self.key.places, *self.headers.places)

    def read(self) -> Proof:
        """Return what is there now.

        Raises:
            KeyMissing: where the key, or a variable that a header names, is not to be found or cannot be sent.
        """
        key = self.key.read()
        headers, secrets = self.headers.read()
        return Proof(key, headers, secrets if key is None else (key, *secrets))

    def describe(self) -> str:
        """Say where the key is found, that none is needed, or what is missing, without the key."""
        found = self.key.describe()
        if self.headers.hold_secrets and not found.startswith(MISSING):
            try:
                self.headers.read()
            except KeyMissing as missing:
                name = self.key.profile.name
                why = str(missing).removeprefix(f"no key for {name}: ").removeprefix(f"the key for {name} is ")
                return f"{MISSING}: {why}"
            return f"{FOUND}: what its headers name" if found == NONE_NEEDED else found
        return found
