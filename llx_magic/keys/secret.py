"""A wrapper for keys that hides them when it is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, NoReturn, Protocol

import msgspec


class Unshown:
    """A base of objects that hold keys: they have no printed form and cannot be pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: it would be written in clear")


class Secret(Unshown):
    """A key that prints as ``***``; only ``reveal`` returns the key itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key, for the one place that sends or stores it."""
        return self._value

    def after(self, prefix: str) -> Secret:
        """Return the key with a text before it, such as ``Bearer``."""
        return Secret(f"{prefix}{self._value}")

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class Signed(NamedTuple):
    """The headers that show a request's signature, and those parts of them that must not be shown."""

    headers: Mapping[str, Secret]
    secrets: tuple[Secret, ...]


class Signer(Protocol):
    """Signs a request that is ready to be sent; it does no I/O."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Signed:
        """Return the headers to add; a problem of its login is a ``LoginProblem``."""


class Proof(Unshown, msgspec.Struct, frozen=True, gc=False):
    """What one backend's requests prove themselves with.

    ``key`` goes where the wire form puts it; ``headers`` are those that the profile adds, and outweigh all others.
    ``secrets`` are the key and whatever else must not be sent unencrypted nor be shown. ``sign`` makes the headers that
    depend on the request itself, None where there are none. ``account`` are those secrets that stay the same from one
    hour to the next, so that they tell one account from another.
    """

    key: Secret | None = None
    headers: Mapping[str, Secret] = msgspec.field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    sign: Signer | None = None
    account: tuple[Secret, ...] = ()


def as_secret(value: Secret | str | None) -> Secret | None:
    """Wrap a key that was given as a string, so that it is hidden too; the empty string is no key."""
    if isinstance(value, str):
        return Secret(value) if value.strip() else None
    return value
