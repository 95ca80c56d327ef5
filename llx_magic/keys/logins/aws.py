"""The credentials of AWS's own tools, and the signatures that are made with them (extra ``aws``)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.keys.logins.kept import Kept
from llx_magic.keys.logins.login import LoginKind, LoginProblem, library, reason
from llx_magic.keys.logins.quiet import quiet
from llx_magic.keys.secret import Proof, Secret, Signed

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CHAIN = "chain"
_WHAT = "signing with AWS credentials"

_SERVICE = re.compile(r"(?:^|[.-])(bedrock-mantle|execute-api|lambda)(?=[.-])")
REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}")
"""A region such as ``us-gov-west-1``."""

_REGION_OF_A_HOST = re.compile(rf"(?<=\.){REGION.pattern}(?=\.)")


def region_of(host: str) -> str | None:
    """Return the region that stands in the name of a host, or None."""
    found = _REGION_OF_A_HOST.search(host)
    return found[0] if found else None


def usual_region() -> str | None:
    """Return the region that the environment names for AWS's tools, or None."""
    return next((found for name in _REGIONS if (found := os.environ.get(name, "").strip())), None)


def _files() -> list[Path]:
    named = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
    return [Path(os.path.expanduser(os.environ.get(name) or usual)) for name, usual in named.items()]  # noqa: PTH111


_KEPT: Kept[Credentials] = Kept(("AWS_",), _files)
"""Credentials that expire and are fetched anew: from SSO, a role, a container or an instance."""


@dataclass(frozen=True, slots=True)
class AwsLogin:
    """AWS's chain of credentials (variables, files, SSO, process, container, instance), or one profile of its files.

    ``region`` is what is signed for where the address names none; without it, the environment's or that of the files.
    """

    profile: str | None = None
    region: str | None = None

    @property
    def kind(self) -> LoginKind:
        """Whether the profile is named."""
        return "aws-profile" if self.profile else "aws"

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile or _CHAIN

    def read(self) -> Proof:
        """Return what signs requests.

        Raises:
            LoginProblem: where botocore is missing or finds no credentials.
        """
        session = library("botocore.session", "aws", _WHAT).Session(profile=self.profile)
        library("botocore.auth", "aws", _WHAT)
        failures = library("botocore.exceptions", "aws", _WHAT)
        why = ""
        with quiet():
            try:
                credentials = _KEPT.find(self.profile) or session.get_credentials()
                region = self.region or usual_region() or session.get_config_variable("region")
                frozen = None if credentials is None else credentials.get_frozen_credentials()
            except (failures.BotoCoreError, OSError, ValueError) as error:
                frozen, why = None, reason(error)
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise LoginProblem(self._nothing(why))
        if hasattr(credentials, "refresh_needed"):
            _KEPT.keep(self.profile, credentials)
        secrets = tuple(Secret(each) for each in (frozen.access_key, frozen.secret_key, frozen.token) if each)
        return Proof(secrets=secrets, sign=Signature(frozen, region))

    def _nothing(self, why: str) -> str:
        profile = f" --profile {self.profile}" if self.profile else ""
        mend = f"type aws sso login{profile} or aws configure{profile}"
        if self.profile is None:
            mend = f"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or {mend}, or name a profile in aws-profile"
        whose = f"the AWS profile {self.profile}" if self.profile else "the AWS environment"
        return f"{whose} {f'cannot be read ({why})' if why else 'holds no credentials'}; {mend}"


@dataclass(frozen=True, slots=True, repr=False)
class Signature:
    """Signs requests in the way of AWS (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""

    credentials: ReadOnlyCredentials
    region: str | None

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Signed:
        """Return the headers that show the signature; signed are the type of the body and all ``x-amz-`` headers.

        Raises:
            LoginProblem: where neither the address nor anything else names a region.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        service, region = place_of(url)
        region = region or self.region
        if region is None:
            raise LoginProblem("no AWS region is known; save the profile with --aws-region, or set AWS_REGION")
        signed = {name: value for name, value in headers.items() if _is_signed(name)}
        request = AWSRequest(method, url, headers=signed, data=body)
        with quiet():
            SigV4Auth(self.credentials, service, region).add_auth(request)
        added = {name: Secret(value) for name, value in request.headers.items() if name not in signed}
        return Signed(added, (Secret(added["Authorization"].reveal().rpartition("Signature=")[2]),))


def place_of(url: str) -> tuple[str, str | None]:
    """Return the service and the region that an address names; where it names no service, it is Bedrock."""
    host = urlsplit(url).hostname or ""
    service = _SERVICE.search(host)
    return service[1] if service else "bedrock", region_of(host)


def _is_signed(name: str) -> bool:
    return name.lower() == "content-type" or name.lower().startswith("x-amz-")
