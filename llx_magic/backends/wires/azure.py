"""The forms of OpenAI as Azure has them: at other addresses, and with another header for the key. No I/O.

https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from llx_magic.backends.wires.wire import Asked, Concession, Wire, in_path
from llx_magic.providers.address import DATED_VERSION
from llx_magic.providers.find import provider_at

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.backends.reading.reader import Reader
    from llx_magic.core.failure import Failure
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.keys.secret import Secret
    from llx_magic.providers.accents import Accent

_HOST = re.compile(
    r".+\.(?:(?:openai|cognitiveservices|services\.ai)\.azure|api\.cognitive\.microsoft)\.(?:com|us|cn)", re.IGNORECASE
)
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
"""A token of Entra (https://www.rfc-editor.org/rfc/rfc7519#section-3.1): no key looks like it."""

_NO_DEPLOYMENT = re.compile(r"deployment\b.{0,40}does not exist|DeploymentNotFound", re.IGNORECASE)


@dataclass(frozen=True)
class Azure(Wire):
    """A form of OpenAI at a resource of Azure: below ``/openai/v1``, or with an ``api_version`` below its deployment.

    Without a ``deployment`` the model's name stands for it. ``below`` is what the base URL lacks before that.
    """

    spoken: Wire
    deployment: str = ""
    api_version: str = ""
    below: str = "/openai"
    version: str = "/openai/v1"
    takes_tokens: bool = False

    takes_images = takes_files = True
    models_path = ""  # what it lists is what could be deployed, not what is

    @property
    def form(self) -> type[Wire]:
        """The form that is spoken there."""
        return self.spoken.form

    def accented(self, accent: Accent) -> Azure:
        """Return the form as a service speaks it whose models Azure has."""
        return replace(self, spoken=self.spoken.accented(accent))

    def root_is_versioned(self, path: str) -> bool:
        """Return whether the path of a base URL says already where requests are taken."""
        return "/deployments/" in path or super().root_is_versioned(path)

    def proof(self, key: Secret) -> Mapping[str, Secret]:
        """Return the header that shows a key, or a token in its place."""
        is_token = self.takes_tokens or _TOKEN.fullmatch(key.reveal())
        return super().proof(key) if is_token else {"api-key": key}

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return the request in the form that is spoken there, for a deployment.

        Raises:
            BackendFailed: as that form does.
        """
        deployment = self.deployment or model
        asked = self.spoken.encode(request, deployment, without)
        if self.version:  # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
            if not self.api_version:
                return asked
            return msgspec.structs.replace(asked, path=f"{asked.path}?api-version={self.api_version}")
        # Responses are not below a deployment: the body names it.
        of_deployment = "" if asked.path == "/responses" else f"/deployments/{in_path(deployment)}"
        path = f"{self.below}{of_deployment}{asked.path}?api-version={quote(self.api_version)}"
        return msgspec.structs.replace(asked, path=path)

    def reader(self, name: str, model: str, progress: Progress) -> Reader:
        """Return what reads one reply."""
        return self.spoken.reader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses that the request can do without."""
        return self.spoken.conceded(failure, request, without)

    def hint(self, failure: Failure, model: str) -> str:
        """Say what to look at where a resource does not know a deployment, or the address."""
        if failure.status != 404:
            return ""
        if _NO_DEPLOYMENT.search(failure.message):
            return "deployment must be the name of the deployment, which need not be the model's"
        return f"api-version {self.api_version} may be wrong" if self.api_version else "it may want an api-version"


def _is_before_azure(wire: Wire, url: str, keys: Mapping[str, str]) -> bool:
    """Return whether an address is a gateway's or a private one of a resource, by what the profile calls it.

    An address that says its version already is asked as it stands.
    """
    is_named = keys.get("provider") == "azure" and provider_at(url) is None
    return is_named and not wire.root_is_versioned(urlsplit(url).path)


def at_azure(wire: Wire, url: str, keys: Mapping[str, str]) -> Wire:
    """Return a form of OpenAI as it is spoken at an address: as Azure has it at Azure's, or where the keys say so.

    A version that other tools have written into a profile means nothing at the address of a known provider.
    """
    parts = urlsplit(url)
    version, deployment = keys.get("api-version", ""), keys.get("deployment", "")
    is_dated = re.fullmatch(DATED_VERSION, version) is not None and provider_at(url) is None
    if not (is_dated or deployment or _HOST.fullmatch(parts.hostname or "") or _is_before_azure(wire, url, keys)):
        return wire
    below = "" if parts.path.rstrip("/").endswith("/openai") else "/openai"
    if parts.path.rstrip("/").endswith("/openai/v1") and version[:1].isdecimal():
        version = ""  # that surface takes no dated version
    stable = "" if version[:1].isdecimal() else f"{below}/v1"
    return Azure(wire, deployment, version, below, stable, takes_tokens=keys.get("auth") == "entra")
