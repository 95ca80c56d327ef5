"""How to reach a model: its address, the place of its key, its headers, and its prices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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

_FORM = "|".join(FORMS)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/:@=-]{0,199}")
"""The name of a profile of AWS's files, and what a token is asked for."""


@dataclass(frozen=True, slots=True)
class ConnectionKey:
    """A key of a profile file about the connection: the field that holds it, its allowed values, and its meaning.

    ``pattern`` is what a text must match, apart from white space around it; an empty pattern allows every text.
    """

    attribute: str
    meaning: str
    pattern: str = r"[\s\S]*"


TEXT_KEYS: Final[Mapping[str, ConnectionKey]] = {
    "base-url": ConnectionKey(
        "base_url",
        "Where the provider is, if not at its usual address: what comes before /chat/completions, or a whole address",
        rf"[^@?#]*(?:\?(?:alt=sse|api-version={DATED_VERSION}))?",
    ),
    "auth-key-env": ConnectionKey("auth_key_env", "The environment variable that holds the key", _VARIABLE.pattern),
    "auth-key-name": ConnectionKey("auth_key_name", "The key's name in the operating system's keyring", NAME_PATTERN),
    "auth-keyfile": ConnectionKey("auth_keyfile", "The file that holds the key, readable by its owner alone"),
    "user-agent": ConnectionKey("user_agent", "The User-Agent of each request", "[ -~]*"),
    "api-version": ConnectionKey(
        "api_version", "The version of Azure's service, for addresses that want one", API_VERSION
    ),
    "deployment": ConnectionKey("deployment", "The name of the deployment at Azure, if not the model's", DEPLOYMENT),
    "form": ConnectionKey("form", "The form in which the service is asked, if not the provider's usual one", _FORM),
    "auth": ConnectionKey("auth", "What proves who asks: a key, or a login of AWS, Entra or Google", "|".join(AUTHS)),
    "auth-scope": ConnectionKey("auth_scope", "What a token is asked for, if not the usual scope", _LOGIN.pattern),
    "aws-region": ConnectionKey(
        "aws_region", "The region of AWS, if not the one that AWS_REGION names", REGION.pattern
    ),
    "aws-profile": ConnectionKey("aws_profile", "The profile of AWS's own files, if not the usual one", _LOGIN.pattern),
}
"""The keys of ``ephemeralSettings`` that hold a text."""

PRICE_KEYS: Final[Mapping[str, ConnectionKey]] = {
    "price-input": ConnectionKey("price_input", "Price of a million prompt tokens, in your currency"),
    "price-output": ConnectionKey("price_output", "Price of a million completion tokens, in your currency"),
    "price-cached": ConnectionKey(
        "price_cached", "Price of a million prompt tokens that come from the provider's cache, if it is another"
    ),
}
"""The keys of ``ephemeralSettings`` that hold a price."""

FLAG_KEYS: Final[Mapping[str, ConnectionKey]] = {
    "images": ConnectionKey(
        "images", "Whether the model takes images, where its form has them; if not, it is not asked"
    ),
    "files": ConnectionKey("files", "Whether the model takes files, where its form has them; if not, it is not asked"),
}
"""The keys of ``ephemeralSettings`` that are true or false."""


WINDOW_KEY: Final = "context-window"
WINDOW: Final = ConnectionKey(
    "context_window", "How many tokens the model takes; a prompt that is surely longer is not sent to it"
)


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
    is what its form says. Prices are per million tokens, in the user's own currency.

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
    price_input: float | None = None
    price_output: float | None = None
    price_cached: float | None = None
    context_window: int | None = None
    images: bool | None = None
    files: bool | None = None

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
        self._check_texts()
        if self.context_window is not None and self.context_window < 1:
            raise ProfileError(f"{WINDOW_KEY} must be a number of tokens, 1 or more, got {self.context_window}")
        if self.user_agent is not None:
            Header("User-Agent", Secret(self.user_agent))
        for key, its in PRICE_KEYS.items():
            price = getattr(self, its.attribute)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise ProfileError(f"{key} must be a price per million tokens, 0 or more, got {price}")

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

    def _check_texts(self) -> None:
        """Refuse what cannot be what its key is for, and a key beside a login that is used in its place.

        Raises:
            ProfileError: one line with what is allowed.
        """
        for key, allowed in (
            ("api-version", "a version of Azure's service, such as 2024-10-21"),
            ("deployment", "the name of a deployment: letters, digits, '.', '_' and '-'"),
            ("form", f"one of {listed(FORMS)}"),
            ("auth", f"one of {listed(AUTHS)}"),
            ("auth-scope", "what a token is for, such as https://ai.azure.com/.default"),
            ("aws-region", "a region such as us-east-1"),
            ("aws-profile", "the name of a profile in ~/.aws/config"),
        ):
            given = self.texts.get(key)
            if given is not None and not re.fullmatch(TEXT_KEYS[key].pattern, given):
                raise ProfileError(f"{key} must be {allowed}; got {brief(given)}")
        named = [key for key in self.texts if key.startswith("auth-key")]
        if self.auth not in (None, "bearer") and (named or self.auth_key):
            unneeded = (*named, "auth-key")[0]
            raise ProfileError(f"auth {self.auth} uses a login in the place of a key; leave out {unneeded}")

    def _refuse_keys_as_names(self) -> None:
        """Refuse an API key that was given in the place of the name of its place, without repeating it.

        Raises:
            ProfileError: such a value would be written to the profile in clear.
        """
        for key, what, holds_one in (
            ("base-url", "an address", self.base_url is not None and looks_like_a_key(self.base_url)),
            ("auth-key-env", "the name of a variable", looks_like_a_key(self.auth_key_env or "")),
            ("auth-key-name", "the name of a key in the keyring", looks_like_a_key(self.auth_key_name or "")),
            ("deployment", "the name of a deployment", looks_like_a_key(self.deployment or "")),
            ("auth-keyfile", "the path of a file", path_looks_like_a_key(self.auth_keyfile or "")),
            ("auth-scope", "what a token is for", looks_like_a_key(self.auth_scope or "")),
            ("aws-profile", "the name of a profile in ~/.aws/config", looks_like_a_key(self.aws_profile or "")),
        ):
            if holds_one:
                raise ProfileError(f"{key} must be {what}; what stands there looks like a key itself{not_repeated()}")

    @property
    def texts(self) -> Mapping[str, str]:
        """The keys that hold a text, as a file of the profile has them."""
        given = {key: getattr(self, its.attribute) for key, its in TEXT_KEYS.items()}
        return {key: text for key, text in given.items() if text is not None}

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
