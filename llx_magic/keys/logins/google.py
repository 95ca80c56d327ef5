"""Tokens of Google Cloud, for Vertex AI (extra ``google``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from llx_magic.keys.logins.kept import Kept
from llx_magic.keys.logins.login import LoginKind, LoginProblem, TokenLogin, library, reason
from llx_magic.keys.logins.quiet import quiet

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

USUAL_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_WHAT = "a Google token"


def _files() -> list[Path]:
    folder = os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    usual = Path(os.path.expanduser(folder)) / "application_default_credentials.json"  # noqa: PTH111
    return [usual, *([Path(named)] if named else [])]


_KEPT: Kept[Credentials] = Kept(("GOOGLE_", "CLOUDSDK_", "GCE_"), _files)


@dataclass(frozen=True, slots=True)
class GoogleLogin(TokenLogin):
    """Application default credentials: a file that a variable names, ``gcloud``'s login, or a machine's own account."""

    scope: str = USUAL_SCOPE
    kind: ClassVar[LoginKind] = "google"

    def token(self) -> str:
        """Return the token that is kept, or a new one where that is old."""
        auth = library("google.auth", "google", _WHAT)
        transport = library("google.auth.transport.requests", "google", _WHAT)
        failures = library("google.auth.exceptions", "google", _WHAT)
        found, why = _KEPT.find(self.scope), ""
        token: str | None = None
        with quiet():
            try:
                if found is None:
                    made, _project = auth.default(scopes=[self.scope])
                    found = _KEPT.keep(self.scope, made)
                if not found.valid:
                    found.refresh(transport.Request())  # type: ignore[no-untyped-call]
                token = found.token
            except (failures.GoogleAuthError, OSError, ValueError) as error:
                why = reason(error)
        if not token:
            raise LoginProblem(
                f"Google gives no token ({why}); type gcloud auth application-default login, or name the file of an "
                "account in GOOGLE_APPLICATION_CREDENTIALS"
            )
        return token
