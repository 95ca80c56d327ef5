"""Tokens of Microsoft Entra, for Azure (extra ``azure``)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from llx_magic.keys.logins.kept import Kept
from llx_magic.keys.logins.login import LoginKind, LoginProblem, TokenLogin, library, reason
from llx_magic.keys.logins.quiet import quiet

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

USUAL_SCOPE = "https://ai.azure.com/.default"
"""What a token is asked for unless a profile says otherwise; some resources want
``https://cognitiveservices.azure.com/.default``.
"""

_SPARE_SECONDS = 300.0
"""How long before its end a token is no longer used."""

_WHAT = "an Entra token"


def _files() -> list[Path]:
    folder = os.environ.get("AZURE_CONFIG_DIR") or "~/.azure"
    named = os.environ.get("AZURE_FEDERATED_TOKEN_FILE")
    return [Path(os.path.expanduser(folder)) / "azureProfile.json", *([Path(named)] if named else [])]  # noqa: PTH111


_KEPT: Kept[AccessToken] = Kept(("AZURE_", "IDENTITY_", "MSI_", "IMDS_"), _files)


@dataclass(frozen=True, slots=True)
class EntraLogin(TokenLogin):
    """What ``DefaultAzureCredential`` finds: variables, a workload's or machine's identity, ``az login`` and others."""

    scope: str = USUAL_SCOPE
    kind: ClassVar[LoginKind] = "entra"

    def token(self) -> str:
        """Return the token that is kept, or a new one where that is old."""
        identity = library("azure.identity", "azure", _WHAT)
        failures = library("azure.core.exceptions", "azure", _WHAT)
        token = _KEPT.find(self.scope)
        why = ""
        if token is None or token.expires_on - time.time() < _SPARE_SECONDS:
            token = None
            with quiet():
                try:
                    with identity.DefaultAzureCredential() as credential:
                        token = _KEPT.keep(self.scope, credential.get_token(self.scope))
                except (failures.AzureError, OSError, ValueError) as error:
                    why = reason(error)
        if token is None:
            raise LoginProblem(
                f"Entra gives no token for {self.scope} ({why}); type az login, or set AZURE_TENANT_ID, "
                "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
            )
        return token.token
