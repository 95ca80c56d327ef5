"""Tells what differs between two versions of a profile file, with a line for each key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from llx_magic.errors import ProfileError
from llx_magic.files.private import read_file
from llx_magic.files.strictjson import DocumentProblem
from llx_magic.keys.names import names_a_secret
from llx_magic.profiles.codec import JsonObject, newer_version, read_document, read_object
from llx_magic.profiles.document import Document
from llx_magic.profiles.headers import CUSTOM_HEADERS
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import listed, shown_path
from llx_magic.units import exact

_GROUPS = {"ephemeralSettings": "", "modelParams": "modelParams."}


@dataclass(frozen=True, slots=True)
class Previous:
    """The file that a save replaces. Its content may hold a key in clear, so it has no printed form."""

    raw: JsonObject = field(repr=False)
    document: Document | None
    problem: str | None = None

    def changes(self, text: str) -> tuple[str, ...]:
        """Return what saving ``text`` changes, one line for each change."""
        if self.problem:
            return (f"the previous file could not be read ({self.problem})",)
        return describe_changes(self.raw, read_object(text))


def read_previous(path: Path) -> Previous:
    """Read as much as can be read. A broken file is replaced too, and kept as the backup.

    Raises:
        ProfileError: where it is of a newer version than is understood.
    """
    newer = None
    try:
        raw = read_object(read_file(path))
        newer = newer_version(raw)
        return Previous(raw, read_document(read_file(path), path.stem, label=shown_path(path)))
    except (ProfileError, DocumentProblem) as problem:
        if newer is None:
            return Previous({}, None, str(problem))
    raise ProfileError(f"{shown_path(path)}: {newer}, or delete the profile (its file is kept as {path.name}.bak)")


def describe_changes(old: JsonObject, new: JsonObject) -> tuple[str, ...]:
    """Return ``key: old → new`` for each key that differs; the value of a key or password is never shown.

    Between a model and a load balancer hardly a key is alike, so one line says which it was and is.
    """
    if _is_load_balancer(old) != _is_load_balancer(new):
        return (f"it was {_whole(old)}, and is {_whole(new)} now",)
    before, after = _flat(old), _flat(new)
    lines = []
    for key in dict.fromkeys([*before, *after]):
        if key not in after:
            lines.append(f"{key}: {_shown(key, before[key])} → removed")
        elif key not in before:
            lines.append(f"{key}: not set → {_shown(key, after[key])}")
        elif before[key] != after[key] or isinstance(before[key], bool) != isinstance(after[key], bool):
            lines.append(f"{key}: {_shown(key, before[key])} → {_shown(key, after[key])}")
    return tuple(lines)


def with_kept_keys(document: Document, previous: Document | None) -> Document:
    """Return the document with the unknown keys of the file it replaces, where it has none of that name."""
    if previous is None or type(document) is not type(previous):
        return document
    return replace(
        document,
        extra={**previous.extra, **document.extra},
        extra_settings={**previous.extra_settings, **document.extra_settings},
    )


def _flat(raw: JsonObject) -> JsonObject:
    flat: JsonObject = {}
    for key, value in raw.items():
        if key in _GROUPS and isinstance(value, dict):
            flat |= {_GROUPS[key] + inner: item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def _is_load_balancer(raw: JsonObject) -> bool:
    """Return whether a profile file that can be read is that of a load balancer."""
    return raw.get("type") == "loadbalancer"


def _whole(raw: JsonObject) -> str:
    of = {key: _shown(key, raw.get(key, "")) for key in ("provider", "model", "profiles")}
    if _is_load_balancer(raw):
        return f"a load balancer of {of['profiles']}"
    return f"a model profile ({of['provider']} {of['model']})"


def _shown(key: str, value: JsonValue) -> str:
    if names_a_secret(key.rpartition(".")[2]):
        return "***"
    if key == CUSTOM_HEADERS:  # their values may be keys, and so may a text that holds them all
        return f"of {listed(value)}" if isinstance(value, dict) and value else "some"
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 60:
        return value
    text = exact(value) if isinstance(value, float) else json.dumps(_hidden(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _hidden(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: "***" if names_a_secret(key) else _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    return value
