"""How to reach a model: its address, the place of its key, its headers, and its prices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from llx_magic.errors import ProfileError, brief
from llx_magic.files.names import NAME_PATTERN, name_problem
from llx_magic.key_shapes import looks_like_a_key, not_repeated, path_looks_like_a_key
from llx_magic.keys.logins.aws import REGION
from llx_magic.keys.logins.login import AUTHS
from llx_magic.keys.secret import Secret, as_secret
from llx_magic.profiles.headers import Header
from llx_magic.providers.address import (
    API_VERSION,
    DATED_VERSION,
    DEPLOYMENT,
    AddressProblem,
    apart_from_deployment,
    api_version,
    tidied,
)
from llx_magic.providers.provider import FORMS
from llx_magic.text.wording import listed

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOGIN = r"[A-Za-z0-9_][A-Za-z0-9_.+/:@=-]{0,199}"
"""The name of a profile of AWS's files, and what a token is asked for."""

ConnectionValue = str | int | float | bool | None
"""What a key of a connection holds; None for what is not said."""


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """A key of a profile file about the connection, and the field of the same name, which holds its value.

    ``kind`` says what its values are. ``pattern`` is what a text must match, apart from white space around it; an empty
    pattern allows every text. ``allowed`` completes "KEY must be …" for what is refused here; where it is empty, who
    reads the value says what is allowed. ``names`` says what a text names in whose place somebody may give an API key.
    """

    meaning: str
    kind: Literal["text", "price", "tokens", "flag"] = "text"
    pattern: str = r"[\s\S]*"
    allowed: str = ""
    names: str = ""


def _text(meaning: str, pattern: str = r"[\s\S]*", allowed: str = "", names: str = "") -> ConnectionKey:
    return ConnectionKey(meaning, "text", pattern, allowed, names)


def _price(meaning: str) -> ConnectionKey:
    return ConnectionKey(meaning, "price", allowed="a price per million tokens, 0 or more")


KEYS: Final[Mapping[str, ConnectionKey]] = {
    "base-url": _text(
        "Where the provider is, if not at its usual address: what comes before /chat/completions, or a whole address",
        rf"[^@?#]*(?:\?(?:alt=sse|api-version={DATED_VERSION}))?",
        names="an address",
    ),
    "auth-key-env": _text(
        "The environment variable that holds the key", _VARIABLE.pattern, names="the name of a variable"
    ),
    "auth-key-name": _text(
        "The key's name in the operating system's keyring", NAME_PATTERN, names="the name of a key in the keyring"
    ),
    "auth-keyfile": _text("The file that holds the key, readable by its owner alone", names="the path of a file"),
    "user-agent": _text("The User-Agent of each request", "[ -~]*"),
    "api-version": _text(
        "The version of Azure's service, for addresses that want one",
        API_VERSION,
        "a version of Azure's service, such as 2024-10-21",
    ),
    "deployment": _text(
        "The name of the deployment at Azure, if not the model's",
        DEPLOYMENT,
        "the name of a deployment: letters, digits, '.', '_' and '-'",
        "the name of a deployment",
    ),
    "form": _text(
        "The form in which the service is asked, if not the provider's usual one",
        "|".join(FORMS),
        f"one of {listed(FORMS)}",
    ),
    "auth": _text(
        "What proves who asks: a key, or a login of AWS, Entra or Google", "|".join(AUTHS), f"one of {listed(AUTHS)}"
    ),
    "auth-scope": _text(
        "What a token is asked for, if not the usual scope",
        _LOGIN,
        "what a token is for, such as https://ai.azure.com/.default",
        "what a token is for",
    ),
    "aws-region": _text(
        "The region of AWS, if not the one that AWS_REGION names", REGION.pattern, "a region such as us-east-1"
    ),
    "aws-profile": _text(
        "The profile of AWS's own files, if not the usual one",
        _LOGIN,
        "the name of a profile in ~/.aws/config",
        "the name of a profile in ~/.aws/config",
    ),
    "price-input": _price("Price of a million prompt tokens, in your currency"),
    "price-output": _price("Price of a million completion tokens, in your currency"),
    "price-cached": _price("Price of a million prompt tokens that come from the provider's cache, if it is another"),
    "images": ConnectionKey("Whether the model takes images, where its form has them; if not, it is not asked", "flag"),
    "files": ConnectionKey("Whether the model takes files, where its form has them; if not, it is not asked", "flag"),
    "context-window": ConnectionKey(
        "How many tokens the model takes; a prompt that is surely longer is not sent to it",
        "tokens",
        allowed="a number of tokens, 1 or more",
    ),
    "shared": _text(
        "The server of Redis through which kernels share what they meet at the model, if LLX_SHARED names none",
        r"rediss?://[^@?#\s]+",
        "an address without a password, such as redis://localhost:6379/0 (LLX_SHARED may hold one with a password)",
        "an address",
    ),
}
"""The keys of ``ephemeralSettings`` about the connection, without its headers and a key in clear; each is a field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach a model, and what it costs; None for what the profile does not say.

    ``auth_key_env`` names an environment variable, ``auth_key_name`` an entry of the operating system's keyring,
    ``auth_keyfile`` a file (``~`` is the home folder, a relative path starts at the working folder). ``auth_key`` is
    never written. ``base_url`` may be a whole address: what it means depends on the provider, and so is settled by the
    profile. ``headers`` are sent with each request; ``user_agent`` is the header ``User-Agent``. ``api_version`` and
    ``deployment`` are Azure's; an address that names them is understood. ``form`` names the wire form, where it is not
    the one that the provider's row and the address give. ``auth`` is one of ``AUTHS``: a key (``bearer``) or a login,
    by default what the provider's row says. ``auth_scope`` is what a token of Entra or Google is for. ``aws_region``
    and ``aws_profile`` are those of AWS's own tools. ``images`` and ``files`` say whether the model takes them; None
    is what its form says. ``shared`` is the address of a server of shared facts. Prices are per million
    tokens, in the user's own currency.

    Raises:
        ProfileError: for an address, a name or a price that is not allowed.
    """

    base_url: str | None = None
    auth_key: Secret | None = field(default=None, repr=False)
    auth_key_env: str | None = None
    auth_key_name: str | None = None
    auth_keyfile: str | None = None
    headers: tuple[Header, ...] = ()
    user_agent: str | None = None
    api_version: str | None = None
    deployment: str | None = None
    form: str | None = None
    auth: str | None = None
    auth_scope: str | None = None
    aws_region: str | None = None
    aws_profile: str | None = None
    price_input: int | float | None = None
    price_output: int | float | None = None
    price_cached: int | float | None = None
    images: bool | None = None
    files: bool | None = None
    context_window: int | None = None
    shared: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "auth_key", as_secret(self.auth_key))
        self._refuse_keys_as_names()
        if self.base_url is not None:
            self._understand_address(self.base_url)
        if self.auth_key_env is not None and not _VARIABLE.fullmatch(self.auth_key_env):
            # What stands there may be the key itself, so it is not repeated.
            raise ProfileError("auth-key-env must be the name of an environment variable: letters, digits and _")
        if self.auth_key_name is not None and (problem := name_problem(self.auth_key_name)):
            raise ProfileError(f"auth-key-name {problem}")
        self._check_values()
        if self.user_agent is not None:
            Header("User-Agent", Secret(self.user_agent))

    @classmethod
    def of(
        cls, given: Mapping[str, ConnectionValue], headers: tuple[Header, ...] = (), auth_key: str | None = None
    ) -> Connection:
        """Return the connection that the values of these keys make, each of its key's kind.

        Raises:
            ProfileError: as for the connection itself.
        """
        named = {key.replace("-", "_"): value for key, value in given.items()}
        return msgspec.convert({**named, "headers": headers, "auth_key": as_secret(auth_key)}, cls)

    def _understand_address(self, given: str) -> None:
        """Take an address as it was pasted; one of Azure's may name the version of its service and a deployment.

        Raises:
            ProfileError: where it is none.
        """
        version, url, named = self.api_version or api_version(given), _checked_address(given), self.deployment
        if version is not None:
            url, found = apart_from_deployment(url)
            named = named or found
        for attribute, value in (("base_url", url), ("api_version", version), ("deployment", named)):
            object.__setattr__(self, attribute, value)

    def _check_values(self) -> None:
        """Refuse what cannot be what its key is for, and a key beside a login that is used in its place.

        Raises:
            ProfileError: one line with what is allowed.
        """
        for key, given in self.values.items():
            its = KEYS[key]
            if its.allowed and not (
                re.fullmatch(its.pattern, given)
                if isinstance(given, str)
                else math.isfinite(given) and given >= (its.kind == "tokens")
            ):
                got = f"; got {brief(given)}" if isinstance(given, str) else f", got {given}"
                got = "" if key == "shared" else got  # it may hold a password
                raise ProfileError(f"{key} must be {its.allowed}{got}")
        named = [key for key in self.texts if key.startswith("auth-key")]
        if self.auth not in (None, "bearer") and (named or self.auth_key):
            unneeded = (*named, "auth-key")[0]
            raise ProfileError(f"auth {self.auth} uses a login in the place of a key; leave out {unneeded}")

    def _refuse_keys_as_names(self) -> None:
        """Refuse an API key that was given in the place of the name of its place, without repeating it.

        Raises:
            ProfileError: such a value would be written to the profile in clear.
        """
        for key, given in self.texts.items():
            holds_one = path_looks_like_a_key if key == "auth-keyfile" else looks_like_a_key
            if (what := KEYS[key].names) and holds_one(given):
                raise ProfileError(f"{key} must be {what}; what stands there looks like a key itself{not_repeated()}")

    @property
    def values(self) -> Mapping[str, str | float | bool]:
        """The keys that hold something, as a file of the profile has them, without headers and a key in clear."""
        given = {key: getattr(self, key.replace("-", "_")) for key in KEYS}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def texts(self) -> Mapping[str, str]:
        """Those of them that hold a text."""
        return {key: value for key, value in self.values.items() if isinstance(value, str)}

    @property
    def all_headers(self) -> tuple[Header, ...]:
        """The headers of each request, ``user_agent`` among them unless ``headers`` have one of that name."""
        if self.user_agent is None or any(each.name.lower() == "user-agent" for each in self.headers):
            return self.headers
        return (Header("User-Agent", Secret(self.user_agent)), *self.headers)


def _checked_address(given: str) -> str:
    try:
        return tidied(given)
    except AddressProblem as found:
        problem = str(found)
    raise ProfileError(f"base-url {problem}")
