"""The login that a model profile's requests prove themselves with, read anew for each request."""

from __future__ import annotations

from dataclasses import dataclass

from llx_magic.consent.access import Access, login_place
from llx_magic.consent.pairs import KeyPlace
from llx_magic.errors import KeyMissing, without_key
from llx_magic.keys.logins.login import Login, LoginProblem
from llx_magic.keys.secret import Proof


@dataclass(frozen=True, slots=True)
class LoginSource:
    """Reads a login for one backend.

    ``instead`` says that it is used whatever key there is; otherwise only where no place of a key is named, and the
    ``usual`` variable, if there is one for this address, is not set.
    """

    backend: str
    login: Login
    access: Access
    instead: bool
    usual: str | None = None

    @property
    def place(self) -> KeyPlace:
        """Whose login it is, as the user consents to it."""
        return login_place(self.login)

    @property
    def silence(self) -> str:
        """What to say where reading takes too long."""
        return f"{self.place.said} took too long to read; sign in anew, or name a key for this profile"

    def read(self) -> Proof:
        """Return what requests prove themselves with.

        Raises:
            KeyMissing: where the login gives nothing, or the profile may not use it; one line, with what mends it.
        """
        try:
            found = self.access.login(self.login)
        except LoginProblem as problem:
            found = f"{problem}; or set {self.usual} to a key" if self.usual and not self.instead else str(problem)
        if isinstance(found, str):
            raise KeyMissing(without_key(self.backend, found))
        return found
