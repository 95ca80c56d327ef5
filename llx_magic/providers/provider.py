"""What is known of one provider, and the forms in which providers are asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from llx_magic.keys.logins.aws import REGION, region_of
from llx_magic.providers import accents
from llx_magic.providers.accents import Accent

OPENAI = "openai"
"""The form of OpenAI's chat completions, which most providers speak."""

ANTHROPIC = "anthropic"
GEMINI = "gemini"
BEDROCK = "bedrock"
OLLAMA = "ollama"
COHERE = "cohere"
"""The forms of services that speak one of their own."""

VERTEX_HOSTS: Final = re.compile(r"(?:[a-z0-9-]{1,40}-)?aiplatform(?:\.[a-z0-9-]{1,40}\.rep)?\.googleapis\.com")
"""Vertex AI: of a region, of a group of regions, or global (https://docs.cloud.google.com/vertex-ai/docs/reference/rest)."""

RESPONSES = "responses"
"""OpenAI's other form."""

FORMS = {
    "openai-chat": OPENAI,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "bedrock": BEDROCK,
    "ollama": OLLAMA,
    "cohere": COHERE,
}
"""The forms that a profile may name, and the module of ``backends/wires`` that speaks each."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider.

    ``base_url`` is None where the address is not a fixed one; ``more_urls`` are further addresses of the provider's
    own, where the same variable holds the key. ``key_variable`` names the environment variable that its users set;
    None where there is none. ``note`` says in a few words what to know. ``aliases`` are other names under which people
    know it. ``otel_name`` is the name of OpenTelemetry's conventions where it differs. ``wire`` names the form in which
    it is asked, a module of ``backends/wires``; ``compatible`` are the ends of paths at which services of that form
    speak OpenAI's chat completions as well, the provider's own first. ``accent`` is how it speaks that form.
    ``regional`` are the addresses of a service that has one for each region of AWS, which stands at ``{region}``; the
    first is the usual one. ``hosts`` matches the hosts of a service whose customers share them, if it has many.
    ``auth`` is what proves who asks there where no key is named: one of ``AUTHS``.
    ``rows_at_once`` is how many rows of a run it is sent at once, where that is known beforehand.
    ``problem`` says why it cannot be asked at all.
    """

    name: str
    base_url: str | None
    more_urls: tuple[str, ...] = ()
    regional: tuple[str, ...] = ()
    hosts: re.Pattern[str] | None = None
    key_variable: str | None = None
    key_required: bool = True
    note: str = ""
    aliases: tuple[str, ...] = ()
    otel_name: str | None = None
    wire: str = OPENAI
    compatible: tuple[str, ...] = ()
    accent: Accent = accents.PLAIN
    auth: str = "bearer"
    rows_at_once: int | None = None
    problem: str = ""

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """Every address of the provider's own, the usual one first."""
        return (*((self.base_url,) if self.base_url else ()), *self.more_urls)

    def form_at(self, url: str) -> str:
        """Return the form in which it is asked at an address: at its compatible endpoint, that of OpenAI."""
        return OPENAI if url.rstrip("/").endswith(self.compatible) else self.wire

    def compatible_url(self, url: str) -> str:
        """Return the address of the compatible endpoint beside its own form's root."""
        return url if self.form_at(url) == OPENAI else url.rstrip("/") + "".join(self.compatible[:1])

    def root_url(self, url: str) -> str:
        """Return the root of its own form beside its compatible endpoint."""
        root = url.rstrip("/")
        return next((root.removesuffix(end) for end in self.compatible if root.endswith(end)), root)

    def own_url(self, url: str) -> str | None:
        """Return the provider's own base URL at the host and port of ``url``, or None; https only."""
        origin = _origin(url)
        if origin is None:
            return None
        if self.hosts is not None and origin[1] == 443 and self.hosts.fullmatch(origin[0]):
            return f"https://{origin[0]}"
        region = region_of(origin[0]) if self.regional else None
        regional = [each.format(region=region) for each in self.regional] if region else []
        return next((own for own in (*self.urls, *regional) if _origin(own) == origin), None)

    def url_in(self, region: str | None) -> str | None:
        """Return the address in a region; None for a service that has none, or where no region is given."""
        is_one = region is not None and REGION.fullmatch(region) is not None
        return self.regional[0].format(region=region) if self.regional and is_one else None

    def own_host(self, url: str) -> bool:
        """Return whether ``url`` is https at exactly this provider's own host and port.

        Only there may a key go that was found in the provider's usual variable and not named by the user. A provider
        of the user's own machine has no host of its own in this sense.
        """
        return self.own_url(url) is not None


def _origin(url: str) -> tuple[str, int] | None:
    """Return host and port of an https URL that names no user; None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or "\\" in url:
        return None
    return parts.hostname, 443 if port is None else port
