"""What the requests of a model profile prove themselves with: its key or login, and the headers that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llx_magic.consent.pairs import KeyPlace
from llx_magic.errors import KeyMissing
from llx_magic.keys.secret import Proof, Secret
from llx_magic.profiles.headers import HeaderSource
from llx_magic.profiles.key_source import FOUND, MISSING, NONE_NEEDED, ProfileKeySource
from llx_magic.profiles.login_source import LoginSource


@dataclass(frozen=True, slots=True)
class ProfileCredential:
    """The credential of one model profile, looked up anew each time; ``login`` is None where only a key serves."""

    key: ProfileKeySource
    headers: HeaderSource
    login: LoginSource | None = None

    @property
    def login_in_use(self) -> LoginSource | None:
        """The login, where it serves and not a key."""
        login = self.login
        return login if login is not None and (login.instead or not self.key.is_named) else None

    @property
    def may_block(self) -> bool:
        """Whether the keyring, or the server behind a login, may have to be asked."""
        return self.key.may_block or self.login_in_use is not None

    @property
    def silence(self) -> str:
        """What to say where reading takes too long."""
        login = self.login_in_use
        return self.key.silence if login is None else login.silence

    @property
    def places(self) -> tuple[KeyPlace, ...]:
        """Where the key or the login and the values of headers are looked up."""
        login = self.login_in_use
        return (*(self.key.places if login is None else (login.place,)), *self.headers.places)

    def read(self) -> Proof:
        """Return what is there now.

        Raises:
            KeyMissing: where the key, the login, or a variable that a header names, is not to be found or cannot be
                sent.
        """
        headers, secrets = self.headers.read()
        if login := self.login_in_use:
            given = login.read()
            return Proof(
                None,
                _with_own(given.headers, headers),
                (*given.secrets, *secrets),
                given.sign,
                (Secret(login.place.said), *secrets),
            )
        key = self.key.read()
        secrets = secrets if key is None else (key, *secrets)
        return Proof(key, headers, secrets, account=secrets)

    def describe(self) -> str:
        """Say where the key is found, that none is needed, or what is missing, without the key."""
        login = self.login_in_use
        found = self.key.describe() if login is None else self._described(login)
        if self.headers.hold_secrets and not found.startswith(MISSING):
            try:
                self.headers.read()
            except KeyMissing as missing:
                return f"{MISSING}: {self._reason(missing)}"
            return f"{FOUND}: what its headers name" if found == NONE_NEEDED else found
        return found

    def _described(self, login: LoginSource) -> str:
        try:
            login.read()
        except KeyMissing as missing:
            return f"{MISSING}: {self._reason(missing)}"
        return f"{FOUND}: {login.place.said}"

    def _reason(self, missing: KeyMissing) -> str:
        name = self.key.profile.name
        return str(missing).removeprefix(f"no key for {name}: ").removeprefix(f"the key for {name} is ")


def _with_own(given: Mapping[str, Secret], own: Mapping[str, Secret]) -> dict[str, Secret]:
    """Return a login's headers and the profile's own, which take the place of those of the same name in any case."""
    theirs = {name.lower() for name in own}
    return {**{name: value for name, value in given.items() if name.lower() not in theirs}, **own}
