"""What all logins have in common, whosever they are."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Literal, Protocol

from llx_magic.errors import LlxError
from llx_magic.install import install_line
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.keys.secret import Proof, Secret

AUTHS = ("bearer", "sigv4", "entra", "google")
"""The ways in which requests prove who sends them: a key of the provider, or one of the logins."""

LoginKind = Literal["aws", "aws-profile", "entra", "google"]

_LONGEST_REASON = 200


class LoginProblem(LlxError):
    """A login gives nothing now; one line that says why and what mends it."""


class Login(Protocol):
    """A login of the user's, as a profile asks for it."""

    @property
    def kind(self) -> LoginKind:
        """Whose login it is."""

    @property
    def name(self) -> str:
        """Which of the user's logins there, or what it is asked for: with the kind it is what a user consents to."""

    def read(self) -> Proof:
        """Return what requests prove themselves with now; this may take long, and ask a server of the login's.

        Raises:
            LoginProblem: where there is nothing.
        """


@dataclass(frozen=True, slots=True)
class TokenLogin(ABC):
    """A login that gives tokens for a scope."""

    scope: str
    kind: ClassVar[LoginKind]

    @property
    def name(self) -> str:
        """What the token is for."""
        return self.scope

    @abstractmethod
    def token(self) -> str:
        """Return a token that lasts for some minutes at least.

        Raises:
            LoginProblem: where the library is missing or gets no token.
        """

    def read(self) -> Proof:
        """Return the token as requests show it (https://www.rfc-editor.org/rfc/rfc6750#section-2.1); errors: its."""
        secret = Secret(self.token())
        return Proof(headers={"Authorization": secret.after("Bearer ")}, secrets=(secret,))


def library(name: str, extra: str, what: str) -> ModuleType:
    """Return a module of the library that reads a login, imported when it is needed.

    Raises:
        LoginProblem: where it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        why = f"{what} needs a package that is not installed; type {install_line(extra)}"
    raise LoginProblem(why)


def reason(error: Exception) -> str:
    """Return the first line of a library's error, without what looks like a key."""
    lines = [line.strip() for line in LIVE_KEYS.without(str(error)).splitlines() if line.strip()]
    said = (lines[0] if lines else type(error).__name__).rstrip(".:")
    return said if len(said) <= _LONGEST_REASON else said[: _LONGEST_REASON - 1].rstrip() + "…"
