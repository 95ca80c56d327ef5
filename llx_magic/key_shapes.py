"""Tells what looks like a key, and what only stands in the place of one. No message of this module repeats the text."""

from __future__ import annotations

import re
from typing import Final

from llx_magic.hosts import command, is_notebook

QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
"""The quotation marks that people and programs put around a value: straight, back and typographic ones."""

_PREFIXED = re.compile(
    r"(?:sk|psk|rk|xai|nvapi|pplx|csk|tvly|glpat|sess|bedrock-api-key)-[A-Za-z0-9_\-]{8,}|key-[A-Za-z0-9]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|(?:AKID|LTAI)(?=[A-Za-z]{0,40}[0-9])[0-9A-Za-z]{12,}"
    r"|bce-v3/ALTAK-[0-9A-Za-z]{8,}/[0-9a-f]{16,}|LLM\|[0-9]{8,}\|[A-Za-z0-9_\-]{16,}|1//0[A-Za-z0-9_\-]{20,}"
    r"|AIza[0-9A-Za-z_\-]{16,}|ya29\.[0-9A-Za-z_\-]{16,}|ABSK[A-Za-z0-9+/=]{24,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]{4,}){0,2}"
    r"|(?:gsk|sk|esecret|flp|glhf|hf|r8|fw|fpk|tgp_v1|gh[opsur]|github_pat|vck|syn|cpk|cfut|jina|dop_v1|lsv2|api)_"
    r"(?=[A-Za-z_]{0,80}[0-9]|[A-Z_]{0,80}[a-z]{1,80}[A-Z])[A-Za-z0-9_\-.]{16,}"
)
"""The beginnings of many providers' keys. Names hold underscores too; behind one only text that no name has counts."""

_HEXADECIMAL = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{32,}", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z0-9+/=]{24,}")
_JOINED = re.compile(r"[A-Za-z0-9+/=_\-]{24,}")
_UNBROKEN = re.compile(r"[A-Za-z0-9]{10}")
_CHANGE = re.compile(r"(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
_SMALL_TO_CAPITAL = re.compile(r"(?<=[a-z])[A-Z]")
_MOST_CHANGES_IN_A_NAME: Final = 3
"""A change between letters and digits within a word: ``gpt4o2024`` has three, 32 random characters have about
fifteen.
"""

_LONGEST_LOOKED_AT: Final = 1000


def not_repeated() -> str:
    """Return the end of an error about a key that was typed where it would be shown and saved."""
    return f" and is not repeated: store it with {command('key set NAME')} and name that (auth-key-name)"


def typed_key(name: str = "NAME") -> str:
    """Return what to do in place of typing a key into a command; ``name`` is the key's name in the keyring."""
    kept = "this notebook and its history" if is_notebook() else "the shell's history or the script"
    return (
        f"a key does not belong in a cell or a command: store it with {command(f'key set {name}')} and save the "
        f"profile with --key-name {name}, or with --key-env VAR or --key-file FILE; one that was typed is now in "
        f"{kept}, so consider it as known to others"
    )


def looks_like_a_key(text: str) -> bool:
    """Return whether a text that should be a name is probably a key: it begins like one, or looks random."""
    head = _SCHEME.sub("", text.strip(QUOTES + " ")[:_LONGEST_LOOKED_AT], count=1)
    if _PREFIXED.fullmatch(head) or _HEXADECIMAL.fullmatch(head):
        return True
    if any(len(_CHANGE.findall(word)) > _MOST_CHANGES_IN_A_NAME for word in _WORD.findall(head)):
        return True
    return any(map(_is_random, _JOINED.findall(head)))


def _is_random(word: str) -> bool:
    """Return whether letters, digits and capitals take turns as in random characters, of which two in five do.

    In a name of several words, such as ``myProject-2024-keyFile``, about one in five does. In a list of short ones,
    such as ``8xH100-80GB-NVL72-FP8``, more do, but hyphens and slashes stand so close in hardly any key.
    """
    if not _UNBROKEN.search(word):
        return False
    changes = len(_CHANGE.findall(word))
    return changes > 1 and changes + len(_SMALL_TO_CAPITAL.findall(word)) > len(word) / 4


def begins_like_a_key(text: str) -> bool:
    """Return whether a text begins like a provider's key; a word such as Bearer may stand before it."""
    text = text.strip(QUOTES + " \n")
    scheme = _SCHEME.match(text)
    return _PREFIXED.match(text, scheme.end() if scheme else 0) is not None


_SHORTER_WORD = re.compile(r"[A-Za-z0-9]{12,}")
_LONG_WORD = re.compile(r"[A-Za-z0-9]{20,}")


def might_be_a_key(text: str) -> bool:
    """Return whether an unknown name could be a key: one of its words is long, or mixes letters and digits."""
    if looks_like_a_key(text) or _LONG_WORD.search(text):
        return True
    words = _SHORTER_WORD.findall(text)
    mixed = any(len(_CHANGE.findall(word)) + len(_SMALL_TO_CAPITAL.findall(word)) > 1 for word in words)
    return mixed or len(_CHANGE.findall(text)) > _MOST_CHANGES_IN_A_NAME


_WITHIN = re.compile(
    rf"(?<![A-Za-z0-9_\-.])(?:{_PREFIXED.pattern})"
    r"|(?<=')[^'\s]{16,}(?=')|(?<=\")[^\"\s]{16,}(?=\")"
)


def without_key_shapes(message: str) -> str:
    """Return a message with ``***`` in the place of anything in it that looks like a key, such as in quoted input."""
    return _WITHIN.sub(lambda found: "***" if looks_like_a_key(found[0]) else found[0], message)


_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def path_looks_like_a_key(path: str) -> bool:
    """Return whether a text that should be the path of a file is probably a key, or ends with one.

    A text with an ending such as ``.txt`` is a path. So is one within a folder, if it does not begin like a key.
    """
    name = re.split(r"[/\\]", path.strip())[-1]
    if _SUFFIX.search(name) and not name.startswith("eyJ"):
        return False
    if name == path.strip() or (path.strip()[0] not in "/~" and _JOINED.fullmatch(path.strip())):
        return looks_like_a_key(path)
    return _PREFIXED.fullmatch(name) is not None


_ASSIGNED = re.compile(
    r"(?:export\s+|setx?\s+|\$env:|\$)?(?P<name>[A-Za-z_][A-Za-z0-9_.\-]{0,80})\s*(?:=(?=\s*[^=\s])|:(?=\s))"
    r"|[A-Za-z_.\-]{0,40}(?:key|token|secret|authorization)[A-Za-z_.\-]{0,40}\s*:",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?:bearer|token|basic|apikey)\s", re.IGNORECASE)


def spelling_problem(text: str) -> str | None:
    """Return what was copied along with a key, as the end of a sentence that does not repeat it, or None."""
    text = text.strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and any(line.startswith(("#", "//", ";")) for line in lines):
        return "it has a comment; it must be the key alone"
    if text.startswith(("{", "[")) and text.endswith(("}", "]")) and len(text) > 2 and '"' in text:
        return "it is JSON; it must be the key alone"
    if _ASSIGNED.match(text):
        return "it begins with a name before the key, such as NAME=; it must be the key alone"
    if _SCHEME.match(text):
        return "it begins with a word such as Bearer; it must be the key alone"
    if text[:1] and (text[0] in QUOTES or text[-1] in QUOTES):
        return "it stands in quotes; leave them out"
    return None


_NOTHING: Final = frozenset({
    "none", "null", "nil", "undefined", "nan", "true", "false", "n/a", "na", "tbd", "todo", "fixme", "changeme",
    "replaceme", "placeholder", "example", "sample", "apikey", "mykey", "myapikey", "skmykey", "dummy", "fake",
})  # fmt: skip
"""Words, without separators, that programs and people write in the place of a key."""

_STAND_INS: Final = frozenset({
    "empty", "none", "ollama", "lmstudio", "llamacpp", "vllm", "local", "nokey", "nokeyrequired", "sknokeyrequired",
    "notneeded", "notrequired", "unused", "dummy", "fake", "anything", "x", "na", "n/a", "null", "placeholder",
})  # fmt: skip
"""Words for servers that accept any key but require one."""

_REFERENCE = re.compile(
    r"\$\{[^}]{0,200}\}|\$\(.{0,200}\)|\$(?:env:)?[A-Za-z_]\w{0,200}|%[A-Za-z_]\w{0,200}%|\{\{.{0,200}\}\}"
    r"|(?:op|vault|env|keyring|file|ssm|secret|secrets)://?.{0,300}|(?:os\.environ|process\.env|getenv).{0,200}"
)
_VARIABLES_NAME = re.compile(r"[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){0,8}_(?:KEY|TOKEN|SECRET|PAT)")
_SHORTENED = re.compile(r"\.\.\.|\u2026|\*{3}|x{5}|<[^>]{0,80}>$", re.IGNORECASE)
_PLEASE = re.compile(
    r"(?:[a-z0-9]{1,10}[-_ ]){0,2}(?:your|insert|enter|paste|put|replace|change|fill)(?:[-_ ]|(?=api|key|token|me))"
    r"[a-z0-9]{0,20}(?:[-_ ][a-z0-9]{0,20}){0,8}|x+|<.{0,200}>|\[.{0,200}\]|[-._*0]+|123456\d{0,4}",
    re.IGNORECASE,
)


def placeholder_problem(text: str, *, provider_needs_key: bool) -> str | None:
    """Return why a text is only in the place of a key, as the end of a sentence that does not repeat it, or None.

    A word for servers that accept any key (``EMPTY``, ``ollama``) passes, unless the provider needs a real key.
    """
    text = text.strip()
    plain = re.sub(r"[-_ ]", "", text.casefold())
    if _REFERENCE.fullmatch(text):
        return "it is a reference that nothing has replaced by the key"
    if _VARIABLES_NAME.fullmatch(text):
        return "it is the name of a variable and not its value"
    if plain in _STAND_INS and not provider_needs_key and plain not in ("none", "null", "na", "n/a"):
        return None
    if plain in _NOTHING or plain in _STAND_INS or _PLEASE.fullmatch(text):
        return "it is a placeholder; put the key in its place"
    if _SHORTENED.search(text):
        return "it is shortened, with dots, x or asterisks for a part of the key; put the whole key there"
    return None
