"""A server that gives out credentials as those of AWS's containers, Azure's identities and Google's accounts do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.faults.server import Exchange, FaultServer

ACCESS_KEY = "AKIDEXAMPLE4TESTSONLY"
REGION = "eu-central-1"


class LoginServer(FaultServer):
    """Gives ``token`` to whoever asks as one of the three libraries does; it lasts for ``seconds`` from now."""

    def __init__(self, token: str, secret: str = "a-secret-of-aws/with+signs=", seconds: float = 3600.0) -> None:
        self.token = token
        self.secret = secret
        self.seconds = seconds
        self.scopes: list[str] = []
        super().__init__(self._answer)

    def __enter__(self) -> LoginServer:
        return self

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> int:
        """How often credentials were given out."""
        return len(self.requests)

    def _answer(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.request.path)
        ends = time.time() + self.seconds
        if parts.path == "/aws":
            expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
            answer = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": self.secret, "Token": self.token}
            exchange.whole(200, json.dumps({**answer, "Expiration": expiration}).encode())
        elif parts.path == "/entra":
            resource = parse_qs(parts.query)["resource"][0]
            self.scopes.append(resource)
            answer = {"access_token": self.token, "expires_on": str(int(ends)), "resource": resource}
            exchange.whole(200, json.dumps({**answer, "token_type": "Bearer"}).encode())
        else:
            self.scopes += parse_qs(exchange.request.body.decode())["scope"]
            answer = {"access_token": self.token, "expires_in": str(int(self.seconds)), "token_type": "Bearer"}
            exchange.whole(200, json.dumps({**answer, "issued_token_type": "any"}).encode())


def without_logins(home: Path, setenv: Callable[[str, str], None]) -> None:
    """Have the libraries find nothing of the user's, and ask no network."""
    setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    setenv("AWS_EC2_METADATA_DISABLED", "true")
    setenv("AZURE_CONFIG_DIR", str(home / "azure"))
    setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    setenv("CLOUDSDK_CONFIG", str(home / "gcloud"))
    setenv("NO_GCE_CHECK", "true")


def aws_in(server: LoginServer, setenv: Callable[[str, str], None]) -> None:
    """Have AWS's chain end at the server."""
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.address}/aws")


def entra_in(server: LoginServer, setenv: Callable[[str, str], None]) -> None:
    """Have azure-identity ask the server."""
    setenv("IDENTITY_ENDPOINT", f"{server.address}/entra")
    setenv("IDENTITY_HEADER", "of-no-interest")


def google_in(server: LoginServer, setenv: Callable[[str, str], None], folder: Path) -> None:
    """Have google-auth trade another service's token at the server, as on machines of other clouds."""
    subject, account = folder / "subject-token", folder / "google-account.json"
    subject.write_text("of-no-interest")
    described = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server.address}/token",
        "credential_source": {"file": str(subject)},
    }
    account.write_text(json.dumps(described))
    setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    setenv("GOOGLE_CLOUD_PROJECT", "a-project")  # or it is looked up at Google
