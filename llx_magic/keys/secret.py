"""A key that does not show itself, and the removal of keys from what is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from llx_magic.core.values import JsonValue

_SECRET_NAMES = frozenset(
    {
        "authkey",
        "apikey",
        "xapikey",
        "authorization",
        "proxyauthorization",
        "authtoken",
        "accesstoken",
        "refreshtoken",
        "bearertoken",
        "clientsecret",
        "secret",
        "password",
    }
)


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


def names_a_secret(name: str) -> bool:
    """Return whether a value of this name is a key or password, however the name is spelt."""
    return "".join(letter for letter in name.lower() if letter.isalnum()) in _SECRET_NAMES


def without_secrets(values: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return the values without keys and passwords at any depth, and the names of those left out."""
    dropped: list[str] = []
    kept = {key: _clean(value, dropped) for key, value in values.items() if not _drops(key, dropped)}
    return kept, tuple(dict.fromkeys(dropped))


def _drops(key: str, dropped: list[str]) -> bool:
    if names_a_secret(key):
        dropped.append(key)
        return True
    return False


def _clean(value: JsonValue, dropped: list[str]) -> JsonValue:
    if isinstance(value, dict):
        return {key: _clean(item, dropped) for key, item in value.items() if not _drops(key, dropped)}
    if isinstance(value, list):
        return [_clean(item, dropped) for item in value]
    return value
