"""The headers that a profile adds to each of its requests. Secret values are references to environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from llx_magic.consent.access import OWN, Access
from llx_magic.consent.pairs import KeyPlace
from llx_magic.errors import KeyMissing, ProfileError, brief, without_key
from llx_magic.files.strictjson import DocumentProblem, parse
from llx_magic.key_shapes import looks_like_a_key
from llx_magic.keys.names import names_a_secret
from llx_magic.keys.secret import Secret
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import any_case

CUSTOM_HEADERS: Final = "custom-headers"
"""The key of ``ephemeralSettings``; its value is an object, or a JSON text of one."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
"""A token: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2"""

_OF_THE_REQUEST: Final = frozenset({
    "host", "content-length", "content-type", "content-encoding", "accept-encoding", "transfer-encoding", "connection",
    "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-authorization", "proxy-connection",
})  # fmt: skip
"""Headers that a profile may not set, since they depend on the request or the connection."""

_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]{0,200}"
_REFERENCE = re.compile(rf"\$\{{({_VARIABLE})\}}")
_LONGEST_VALUE: Final = 8192
_MOST_HEADERS: Final = 64


@dataclass(frozen=True, slots=True)
class Header:
    """One header. ``${NAME}`` in ``value`` stands for the environment variable of that name.

    Raises:
        ProfileError: for a name or a value that no header may have, or one that is not the profile's to set.
    """

    name: str
    value: Secret

    def __post_init__(self) -> None:
        text = self.value.reveal()
        _check_name(self.name)
        if not text.strip() or not _is_sendable(text):
            raise ProfileError(f"{CUSTOM_HEADERS}: the value of {self.name} must be one line of printable ASCII")
        if "${" in _REFERENCE.sub("", text):
            raise ProfileError(f"{CUSTOM_HEADERS}: {self.name} must name a variable as ${{NAME}}")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that the value names."""
        return tuple(_REFERENCE.findall(self.value.reveal()))

    @property
    def is_secret(self) -> bool:
        """Whether the value is secret: its name or its look says so, or it comes from a variable."""
        return bool(self.variables) or self.holds_a_literal_secret

    @property
    def holds_a_literal_secret(self) -> bool:
        """Whether the profile holds a key or password in clear; it is used, but never written."""
        if self.variables:
            return False
        return names_a_secret(self.name) or any(looks_like_a_key(word) for word in self.value.reveal().split())


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ProfileError(f"{CUSTOM_HEADERS}: {brief(name)} is no name of a header")
    if name.lower() in _OF_THE_REQUEST:
        raise ProfileError(f"{CUSTOM_HEADERS}: {name} is set by the request itself")


def read_headers(raw: JsonValue) -> tuple[tuple[Header, ...], tuple[str, ...]]:
    """Return the headers of a file's value, and remarks for the user.

    A value is a text, a number, or ``{"env": "NAME"}``, which means the same as ``"${NAME}"``; null leaves it out.

    Raises:
        ProfileError: for anything else; no value is repeated.
    """
    found: dict[str, Header] = {}
    notes: list[str] = []
    given = _object(raw)
    if len(given) > _MOST_HEADERS:
        raise ProfileError(f"{CUSTOM_HEADERS}: has {len(given)} headers, {_MOST_HEADERS} at most are sent")
    for name, value in given.items():
        text = _text(name, value)
        if text is None:
            _check_name(name)
            continue
        header = Header(name, Secret(text))
        if name.lower() in found:
            raise ProfileError(f"{CUSTOM_HEADERS}: has {name} twice")
        if name.lower() == "authorization" and not header.variables:
            notes.append(f"{CUSTOM_HEADERS}: {name} must name a variable (${{NAME}}): not used, not written when saved")
            continue
        if header.holds_a_literal_secret:
            notes.append(
                f"{CUSTOM_HEADERS}: the file holds a key in clear ({name}): it is used but never written; move it to "
                "an environment variable and write ${NAME} in its place"
            )
        found[name.lower()] = header
    return tuple(found.values()), tuple(notes)


def typed_header(given: str) -> Header:
    """Return the header that was typed as ``NAME=VALUE`` or ``NAME: VALUE``.

    Raises:
        ProfileError: also for a key itself, which would stay in the notebook; it is not repeated.
    """
    found = re.match(r"\s*([^\s=:]+)\s*(?:=|:\s)\s*(.*)", given, re.DOTALL)
    if found is None:
        raise ProfileError("--header takes NAME=VALUE; what was given is not repeated, since it may be a key")
    header = Header(found[1], Secret(found[2].strip()))
    if header.holds_a_literal_secret:
        raise ProfileError(
            f"the value of {header.name} does not belong in a cell or a command: put it into an environment variable "
            f"and give --header '{header.name}=${{NAME}}'"
        )
    return header


def written_headers(headers: Iterable[Header]) -> dict[str, JsonValue]:
    """Return the headers in the form of a file, without keys in clear."""
    return {each.name: each.value.reveal() for each in headers if not each.holds_a_literal_secret}


def headers_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of the headers; it cannot refuse names that differ in case only, ``read_headers`` does."""
    reserved = any_case(*sorted(_OF_THE_REQUEST))
    end = r"$(?![\s\S])"
    variable: JsonValue = {"type": "string", "pattern": rf"^\s*{_VARIABLE}\s*$"}
    reference: JsonValue = {
        "type": "object", "properties": {"env": variable}, "required": ["env"], "additionalProperties": False,
    }  # fmt: skip
    text: JsonValue = {
        "type": "string",
        "pattern": rf"^(?=[ ]*[!-~])(?:[ -#%-~]|\$(?!\{{)|\$\{{{_VARIABLE}\}}){{1,{_LONGEST_VALUE}}}{end}",
        "maxLength": _LONGEST_VALUE,
    }
    named: JsonValue = {"pattern": f"^(?!(?:{reserved}){end}){_NAME.pattern}{end}"}
    value: JsonValue = {"anyOf": [text, {"type": "number"}, reference, {"type": "null"}]}
    headers: JsonValue = {
        "type": "object", "propertyNames": named, "additionalProperties": value, "maxProperties": _MOST_HEADERS,
    }  # fmt: skip
    return {
        "anyOf": [headers, {"type": "string", "contentMediaType": "application/json"}, {"type": "null"}],
        "description": "Headers of each request: an object, or a JSON text of one; a secret as ${NAME} of a variable",
    }


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """Reads a profile's headers for each request; variables are looked up anew each time."""

    backend: str
    headers: Sequence[Header]
    access: Access = OWN

    @property
    def places(self) -> dict[KeyPlace, str]:
        """The places where values are looked up, each with the header that the value goes into."""
        return {KeyPlace("variable", name): each.name for each in self.headers for name in each.variables}

    @property
    def hold_secrets(self) -> bool:
        """Whether any of the values must not be sent unencrypted."""
        return any(each.is_secret for each in self.headers)

    def read(self) -> tuple[dict[str, Secret], tuple[Secret, ...]]:
        """Return each header's value by its name, and every secret in them.

        Raises:
            KeyMissing: where a variable is not set or cannot be sent; one line, with what mends it.
        """
        values: dict[str, Secret] = {}
        secrets: dict[Secret, None] = {}
        for header in self.headers:
            variables = {name: self._variable(header.name, name) for name in header.variables}
            filled = _REFERENCE.sub(lambda found: variables[found[1]].reveal(), header.value.reveal())  # noqa: B023
            values[header.name] = value = Secret(filled)
            secrets |= dict.fromkeys((*variables.values(), value) if header.is_secret else ())
        return values, tuple(secrets)

    def _variable(self, header: str, name: str) -> Secret:
        found = self.access.variable(name)
        if isinstance(found, str):
            raise KeyMissing(without_key(self.backend, found))
        if found is not None and _is_sendable(found.reveal()):
            return found
        wrong = "holds what no header can have" if found is not None else "is not set"
        raise KeyMissing(f"no key for {self.backend}: the variable {name}, which the header {header} names, {wrong}")


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= _LONGEST_VALUE


def _object(raw: JsonValue) -> dict[str, JsonValue]:
    if isinstance(raw, str):
        try:
            raw = parse(raw) if raw.strip() else None
        except DocumentProblem:
            raw = []  # the message does not quote the text, which may be a key
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ProfileError(f"{CUSTOM_HEADERS} must be an object of names and values, or a JSON text of one")
    return raw


def _text(name: str, value: JsonValue) -> str | None:
    if isinstance(value, dict) and value.keys() == {"env"} and isinstance(value["env"], str):
        return f"${{{value['env'].strip()}}}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise ProfileError(f'{CUSTOM_HEADERS}: the value of {brief(name)} must be a text or {{"env": "NAME"}}')
    return value
