"""The options of ``profile save model`` that say how a model is reached: a file's keys, some under shorter names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llx_magic.errors import UsageProblem
from llx_magic.key_shapes import not_repeated, path_looks_like_a_key
from llx_magic.profiles.connection import KEYS, Connection, ConnectionKey, ConnectionValue
from llx_magic.profiles.headers import Header


def option_of(key: str) -> str:
    """Return the name of the option for a key of a profile's file: ``key-file`` for ``auth-keyfile``."""
    return "key-file" if key == "auth-keyfile" else key.replace("auth-key-", "key-")


def connection_of(given: Callable[[str], str | None], headers: tuple[Header, ...]) -> Connection:
    """Return the connection that was typed; ``given`` returns the word behind an option.

    Raises:
        UsageProblem: for a word that its option does not take; a key is not repeated.
    """
    values: dict[str, ConnectionValue] = {}
    for key, declared in KEYS.items():
        option = option_of(key)
        if (word := given(option)) is not None:
            values[key] = _key_file(word) if option == "key-file" else _read(f"--{option}", declared, word)
    return Connection.of(values, headers)


def _key_file(word: str) -> str:
    """Return a path that will still be right from another working folder."""
    if path_looks_like_a_key(word):  # before it is made the path of a file in this folder
        raise UsageProblem(f"--key-file must be the path of a file; what was given looks like a key{not_repeated()}")
    return word if word.startswith("~") else str(Path(word).absolute())


def _read(option: str, declared: ConnectionKey, word: str) -> ConnectionValue:
    match declared.kind:
        case "text":
            return word
        case "flag":
            return word == "true"
        case "price":
            try:
                price = float(word)
            except ValueError:
                price = -1.0
            if 0 <= price < float("inf"):
                return price
        case "tokens":
            if word.isascii() and word.isdecimal() and len(word) < 13 and int(word):
                return int(word)
    raise UsageProblem(f"{option} must be {declared.allowed}, got {word!r}")
