"""A key that does not show itself."""

from __future__ import annotations

from typing import NoReturn


class Unshown:
    """What holds keys: no printed form shows them, and they are not pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: it would be written in clear")


class Secret(Unshown):
    """A key whose every printed form is ``***``; only ``reveal`` gives the key itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key, for the one place that sends or stores it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def as_secret(value: Secret | str | None) -> Secret | None:
    """Wrap a bare string, so that a key given as one is hidden as well; the empty string is no key."""
    if isinstance(value, str):
        return Secret(value) if value.strip() else None
    return value
