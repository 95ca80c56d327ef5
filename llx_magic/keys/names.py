"""Tells which names mean a secret value: the names of parameters, of keys in files, of headers and of variables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from llx_magic.key_shapes import begins_like_a_key
from llx_magic.text.values import JsonValue

_SECRET: Final = frozenset({
    "password", "passwd", "pwd", "passphrase", "passcode", "passwort", "kennwort", "secret", "credential", "cred",
    "authorization", "bearer", "cookie", "jwt", "pat", "signature", "sig", "sessionid",
})  # fmt: skip
"""A name with one of these words in it, or with its plural, means a secret."""

_RUN_TOGETHER = re.compile(
    r"(?:apikey|password|passwd|passphrase|secret|credential|authorization|connectionstring"
    r"|(?:auth|access|refresh|bearer|session|api|id|security|private|secret|master|signing|encryption|account|sas)"
    r"(?:token|key))$"
)
"""The ends of names whose words are not separated, such as ``apikey``."""

_WHOLE: Final = frozenset({"session", "xsession", "pass"})

_PIECES_OF_TEXT: Final = frozenset({
    "max", "min", "num", "n", "new", "special", "stop", "eos", "bos", "pad", "unk", "sep", "cls", "mask", "prompt",
    "completion", "input", "output", "reasoning", "thinking", "think", "budget", "image", "audio", "text", "video",
    "cached", "total", "suppress", "bad", "good", "per", "first", "next", "last", "start", "end", "begin", "decoder",
    "forced", "draft", "allowed", "banned", "predicted", "used", "keep", "ignore", "vocab", "content", "generated",
    "include", "add", "skip", "return",
})  # fmt: skip
_OPENS_NOTHING: Final = frozenset(
    {"idempotency", "cache", "primary", "foreign", "public", "sort", "partition", "index"}
)
_NO_SECRET_AFTER: Final = {"token": _PIECES_OF_TEXT, "key": _OPENS_NOTHING}
"""Words that mean a secret, unless one of these words stands before them,"""

_NO_SECRET_BEFORE: Final = {
    "token": frozenset({"per", "to", "id", "bias", "healing", "ratio"}),
    "key": frozenset({"value"}),
}
"""or one of these behind them."""

_ABOUT: Final = frozenset({
    "name", "env", "variable", "file", "keyfile", "path", "type", "length", "len", "limit", "count", "size", "budget",
    "expiry", "expires", "ttl", "header", "scheme", "format", "algorithm", "required", "threshold",
})  # fmt: skip
"""A name that ends with one of these words describes a secret, such as where it is; its value is none."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def names_a_secret(name: str) -> bool:
    """Return whether a value of this name is a key, a password or the like, however the name is spelt.

    ``api_key``, ``X-Api-Key``, ``apiKey2``, ``OPENAI_APIKEY``, ``userPassword`` and ``HF_TOKEN`` are; ``max_tokens``,
    ``eos_token_id``, ``prompt_cache_key`` and ``auth-key-env`` are not. A key that stands where a name belongs is one.
    """
    if begins_like_a_key(name):
        return True
    plain = unicodedata.normalize("NFKC", name)
    words = [_singular(word.lower()) for word in _WORD.findall(plain)]
    if not words or words[-1] in _ABOUT:
        return False
    if any(word in _SECRET or _RUN_TOGETHER.search(word) for word in words) or words[-1] in ("auth", "pass"):
        return True
    joined = _singular("".join(letter for letter in plain.lower() if letter.isalpha()))
    if joined in _WHOLE or _RUN_TOGETHER.search(joined):
        return True
    return plain.lower() != "tokens" and any(_is_secret(words, at) for at in range(len(words)))


def _is_secret(words: list[str], at: int) -> bool:
    """Return whether a word with several meanings, such as ``token``, means a secret beside the other words."""
    word = words[at]
    if word not in _NO_SECRET_AFTER:
        return False
    behind = words[at + 1] if at + 1 < len(words) else ""
    return _NO_SECRET_AFTER[word].isdisjoint(words[:at]) and behind not in _NO_SECRET_BEFORE[word]


def _singular(word: str) -> str:
    return word if len(word) < 4 or word.endswith("ss") else word.removesuffix("s")


def without_secrets(values: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return the values without keys and passwords at any depth, and the names of those left out."""
    dropped: list[str] = []
    kept = {key: _clean(value, dropped) for key, value in values.items() if not _drops(key, value, dropped)}
    return kept, tuple(dict.fromkeys(dropped))


def _drops(key: str, value: JsonValue, dropped: list[str]) -> bool:
    says_how = key.lower() == "auth" and isinstance(value, dict)  # such as {"type": "oauth"}
    if names_a_secret(key) and not says_how:
        dropped.append(key)
        return True
    return False


def _clean(value: JsonValue, dropped: list[str]) -> JsonValue:
    if isinstance(value, dict):
        return {key: _clean(item, dropped) for key, item in value.items() if not _drops(key, item, dropped)}
    if isinstance(value, list):
        return [_clean(item, dropped) for item in value]
    return value
