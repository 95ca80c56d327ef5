"""Reads profile documents from JSON, with a one-line error for anything that is wrong, and writes them without keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Final, TypeVar, cast

from llx_magic.core.routing import check_weights, routing_named, without_weights
from llx_magic.errors import ProfileError, SettingError, brief
from llx_magic.files.names import name_problem
from llx_magic.files.strictjson import DocumentProblem, decode, parse
from llx_magic.hosts import command
from llx_magic.key_shapes import without_key_shapes
from llx_magic.keys.names import without_secrets
from llx_magic.profiles.connection import KEYS, Connection, ConnectionKey, ConnectionValue
from llx_magic.profiles.document import Document, LoadBalancerProfile, ModelProfile, members_problem
from llx_magic.profiles.headers import CUSTOM_HEADERS, Header, read_headers, written_headers
from llx_magic.settings.declaration import SETTINGS
from llx_magic.settings.kinds import SettingValue
from llx_magic.settings.layers import write_values
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import closest, listed, nearest

VERSION: Final = 1
"""The version of the file format that is written; files up to this version are read."""

WEIGHTS: Final = "weights"
"""The key of a load balancer's weights. It is at the top, and only where there are some: other tools read the rest."""

SCHEMA_KEY: Final = "$schema"
"""The key that names the file's JSON schema for editors. It is kept and has no other meaning."""

_KNOWN: Final = frozenset(
    {"name", "version", "type", "policy", "profiles", WEIGHTS, "provider", "model", "modelParams", "ephemeralSettings"}
)
TYPES: Final = ("loadbalancer", "standard", "model")
"""The values of ``type``. The last two mean the same, and so does a missing ``type``."""

JsonObject = dict[str, JsonValue]
T = TypeVar("T")


def read_document(content: str | bytes, name: str, *, label: str | None = None) -> Document:
    """Return the profile that a file's content stands for.

    ``name`` is the file's own name (without ``.json``); it counts, whatever the content says. ``label`` is the name
    of the file in messages. Unknown keys of the document are kept in ``extra``; an API key in clear is held as a
    ``Secret``.

    Raises:
        ProfileError: one line that begins with the file and says what is wrong and what is allowed.
    """
    try:
        return _read(decode(content) if isinstance(content, bytes) else content, name)
    except (DocumentProblem, ProfileError, SettingError) as problem:
        message = str(problem)
    # The content may hold an API key in clear, and verbose tracebacks show the variables of frames.
    del content
    raise ProfileError(f"{label or name + '.json'}: {message}")


def write_document(document: Document) -> str:
    """Return the file's content: known keys first, in a fixed order, then those kept from reading; never a key.

    Raises:
        ProfileError: where a value cannot be written as JSON that reads back.
    """
    is_model = isinstance(document, ModelProfile)
    raw: JsonObject = {"name": document.name, "version": VERSION}
    if isinstance(document, LoadBalancerProfile):
        raw |= {"type": "loadbalancer", "policy": document.policy, "profiles": list(document.members)}
        if document.weights:
            raw[WEIGHTS] = dict(document.weights)
    raw["provider"] = document.provider if isinstance(document, ModelProfile) else ""
    raw["model"] = document.model if isinstance(document, ModelProfile) else ""
    raw["modelParams"] = dict(document.params)
    connection = _written_connection(document.connection) if isinstance(document, ModelProfile) else {}
    settings = write_values(document.settings)
    known = {*SETTINGS, *(_CONNECTION_KEYS if is_model else ())}
    kept = {key: value for key, value in document.extra_settings.items() if key not in known}
    raw |= {key: value for key, value in document.extra.items() if key not in _KNOWN}
    raw = without_secrets(raw)[0]
    # Headers are without their secrets already; those that remain name variables, under names that keys have.
    raw["ephemeralSettings"] = {**connection, **without_secrets({**settings, **kept})[0]}
    return _dump(raw, document.name)


def read_object(content: str | bytes) -> JsonObject:
    """Return the object that a file's content stands for, unchecked beyond being JSON.

    Raises:
        DocumentProblem: where it is not a JSON object.
    """
    value = parse(decode(content) if isinstance(content, bytes) else content)
    if not isinstance(value, dict):
        raise DocumentProblem(f"must hold a JSON object, got {_KINDS[type(value)]}")
    return value


_CONNECTION_KEYS: Final = frozenset({*KEYS, "auth-key", CUSTOM_HEADERS})


@dataclass(slots=True)
class _Reading:
    """The parts of a document that both kinds have, and the remarks made so far."""

    name: str
    raw: JsonObject
    notes: list[str] = field(default_factory=list)

    def text(self, key: str) -> str:
        return _text(key, self.raw.get(key))

    def mapping(self, key: str) -> JsonObject:
        return _value(key, self.raw.get(key), dict) or {}

    def params(self) -> JsonObject:
        return self._harmless(self.mapping("modelParams"))

    def extra(self) -> JsonObject:
        return self._unknown({key: value for key, value in self.raw.items() if key not in _KNOWN})

    def settings(self, ephemeral: JsonObject) -> dict[str, SettingValue]:
        return {key: _setting(key, value) for key, value in ephemeral.items() if key in SETTINGS}

    def headers(self, ephemeral: JsonObject) -> tuple[Header, ...]:
        headers, notes = read_headers(ephemeral.get(CUSTOM_HEADERS))
        self.notes += map(without_key_shapes, notes)
        return headers

    def extra_settings(self, ephemeral: JsonObject, known: frozenset[str]) -> JsonObject:
        unknown = {key: value for key, value in ephemeral.items() if key not in known and key not in SETTINGS}
        return self._unknown(unknown)

    def _unknown(self, values: JsonObject) -> JsonObject:
        kept = self._harmless(values)
        if unknown := [key for key in kept if key != SCHEMA_KEY]:
            self.notes.append(f"not known, so without effect: {listed(map(_with_near, unknown))} (kept in the file)")
        return kept

    def _harmless(self, values: JsonObject) -> JsonObject:
        kept, dropped = without_secrets(values)
        if dropped:
            self.notes.append(f"{listed(_plain(key) for key in dropped)}: not used, and not written when saved")
        return kept


def _read(content: str, name: str) -> Document:
    reading = _Reading(name, read_object(content))
    version = reading.raw.get("version")
    if newer := newer_version(reading.raw):
        raise DocumentProblem(newer)
    if version is not None and (isinstance(version, bool) or version != VERSION):
        raise DocumentProblem(f"version must be {VERSION}, got {brief(version)}")
    said = reading.raw.get("name")
    if said is not None and _text("name", said) != name:
        reading.notes.append(f"the file says name {brief(said)}; the file's own name counts")
    return _read_balancer(reading) if _is_balancer(reading.raw) else _read_model(reading)


def newer_version(raw: JsonObject) -> str | None:
    """Return the message for a document of a newer version, which must not be overwritten; otherwise None."""
    version = raw.get("version")
    if isinstance(version, bool) or not isinstance(version, int | float) or version % 1 or version <= VERSION:
        return None
    return f"version {brief(version)} is newer than {VERSION}, the newest understood; update llx-magic"


def _is_balancer(raw: JsonObject) -> bool:
    kind = raw.get("type")
    if kind is None:
        if raw.get("policy") is not None or raw.get("profiles") is not None:
            raise DocumentProblem('has policy or profiles but no type; a load balancer needs "type": "loadbalancer"')
        return False
    word = _text("type", kind)
    if word not in TYPES:
        raise DocumentProblem(f"unknown type {brief(word)}{nearest(word, TYPES[:2])}")
    return word == "loadbalancer"


def _read_balancer(reading: _Reading) -> LoadBalancerProfile:
    policy = reading.text("policy")
    routing_named(policy)  # read before the members, since their number depends on it
    members = _read_members(reading)
    if problem := members_problem(reading.name, policy, members):
        raise DocumentProblem(problem)
    weights = _read_weights(reading, members)
    if weights and (idle := without_weights(policy)):
        reading.notes.append(idle)
    for key in ("provider", "model"):
        if reading.text(key):
            reading.notes.append(f"{key} of a load balancer is not used")
    ephemeral = reading.mapping("ephemeralSettings")
    if CUSTOM_HEADERS in ephemeral:
        reading.notes.append(f"{CUSTOM_HEADERS} of a load balancer are not sent; a member's are")
        ephemeral = {**ephemeral, CUSTOM_HEADERS: written_headers(reading.headers(ephemeral))}
    return LoadBalancerProfile(
        name=reading.name,
        policy=policy,
        members=members,
        settings=reading.settings(ephemeral),
        params=reading.params(),
        extra=reading.extra(),
        extra_settings=reading.extra_settings(ephemeral, frozenset()),
        notes=tuple(reading.notes),
        weights=weights,
    )


def _read_members(reading: _Reading) -> tuple[str, ...]:
    value = reading.raw.get("profiles")
    if not isinstance(value, list):
        raise DocumentProblem(f"profiles must be a list of profile names, got {_KINDS[type(value)]}")
    members: list[str] = []
    for item in value:
        if not isinstance(item, str):
            raise DocumentProblem(f"profiles must be a list of profile names, got {_KINDS[type(item)]} in it")
        if problem := name_problem(item):
            raise DocumentProblem(f"profiles: the name {brief(item)} {problem}")
        members.append(item)
    if twice := [each for each, places in Counter(members).items() if places > 1]:
        reading.notes.append(f"{listed(twice)}: listed more than once, and asked once at each of its places")
    return tuple(members)


def _read_weights(reading: _Reading, members: tuple[str, ...]) -> dict[str, float]:
    weights = _value(WEIGHTS, reading.raw.get(WEIGHTS), dict) or {}
    check_weights(members, weights)
    return weights


def _read_model(reading: _Reading) -> ModelProfile:
    ephemeral = reading.mapping("ephemeralSettings")
    values = {key: _of_kind(key, declared, ephemeral.get(key)) for key, declared in KEYS.items()}
    key = _text("auth-key", ephemeral.get("auth-key"))
    if key:
        reading.notes.append(
            f"the file holds a key in clear (auth-key): it is used but never written; move it with "
            f"{command(f'key set {reading.name}')} and name it in auth-key-name"
        )
    for what in ("provider", "model"):
        if not reading.text(what):
            raise DocumentProblem(f"{what} is missing; a model profile needs provider and model")
    return ModelProfile(
        name=reading.name,
        provider=reading.text("provider"),
        model=reading.text("model"),
        params=reading.params(),
        settings=reading.settings(ephemeral),
        connection=Connection.of(values, reading.headers(ephemeral), key or None),
        extra=reading.extra(),
        extra_settings=reading.extra_settings(ephemeral, _CONNECTION_KEYS),
        notes=tuple(reading.notes),
    )


def _setting(key: str, value: JsonValue) -> SettingValue:
    try:
        return SETTINGS[key].read(value)
    except ValueError:
        # Python refuses to read thousands of digits as a number.
        raise DocumentProblem(f"{key} must be {SETTINGS[key].kind.allowed}, got {brief(value)}") from None


_KINDS: Final[Mapping[type, str]] = {
    NoneType: "nothing", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list",
    dict: "an object",
}  # fmt: skip


def _value(key: str, value: JsonValue, *wanted: type[T]) -> T | None:
    """Return a value of one of the types that the key may have, or None where there is none."""
    if value is None or type(value) in wanted:
        return cast("T | None", value)
    raise DocumentProblem(f"{key} must be {_KINDS[wanted[0]]}, got {_KINDS[type(value)]}")


def _text(key: str, value: JsonValue) -> str:
    return (_value(key, value, str) or "").strip()


def _of_kind(key: str, declared: ConnectionKey, value: JsonValue) -> ConnectionValue:
    match declared.kind:
        case "text":
            return _text(key, value) or None
        case "price":
            return _value(key, value, int, float)
        case "tokens":
            return _value(key, value, int)
        case "flag":
            return _value(key, value, bool)


_LIKENESS: Final = 0.8
"""How like a known key an unknown one is that may be misspelt; other tools have keys of their own."""


def _with_near(key: str) -> str:
    """Return an unknown key with the known one that may have been meant, or where a known one belongs."""
    if key in SETTINGS:
        return f"{key} (it belongs into ephemeralSettings)"
    meant = closest(key, (*SETTINGS, *_CONNECTION_KEYS, *_KNOWN), likeness=_LIKENESS)
    return _plain(key) if meant is None or meant in (key, "auth-key") else f"{_plain(key)} (did you mean {meant}?)"


def _plain(key: str) -> str:
    return without_key_shapes(key) if key.isprintable() and len(key) <= 60 else brief(key)


def _written_connection(connection: Connection) -> JsonObject:
    written: JsonObject = {**connection.values}
    if headers := written_headers(connection.headers):
        written[CUSTOM_HEADERS] = headers
    return written


def _dump(raw: JsonObject, name: str) -> str:
    try:
        text = json.dumps(raw, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate can be written in JSON only as an escape: https://www.rfc-editor.org/rfc/rfc8259#section-8.2
        text = json.dumps(raw, indent=2, allow_nan=False) + "\n"
    except (ValueError, TypeError, RecursionError) as problem:
        raise ProfileError(f"profile {name} cannot be written as JSON: {problem}") from None
    read_document(text, name)
    return text
