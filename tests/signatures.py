"""Checks AWS's signatures as a server does, by the standard library alone.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from urllib.parse import quote

from tests.faults.server import Received

_SHOWN = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), "
    r"SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_LONGEST_SECONDS = 300


def scope_of(request: Received) -> tuple[str, str]:
    """Return the region and the service that a request is signed for."""
    found = _SHOWN.fullmatch(request.headers.get("authorization", ""))
    assert found is not None
    _date, region, service, _end = found["scope"].split("/")
    return region, service


def signature_of(request: Received) -> str:
    """Return the signature that a request shows."""
    found = _SHOWN.fullmatch(request.headers.get("authorization", ""))
    return found["signature"] if found else ""


def signature_problem(request: Received, key: str, secret: str, token: str = "") -> str | None:
    """Return the name of the error with which AWS refuses a request, or None where it is signed well."""
    found = _SHOWN.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return "MissingAuthenticationTokenException"
    names, date = found["names"].split(";"), request.headers.get("x-amz-date", "")
    must = {"host", "x-amz-date", *(name for name in request.headers if name.startswith("x-amz-"))}
    if found["key"] != key or request.headers.get("x-amz-security-token", "") != token:
        return "UnrecognizedClientException"
    sent = dt.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if not must <= set(names) or abs((dt.datetime.now(dt.UTC) - sent).total_seconds()) > _LONGEST_SECONDS:
        return "InvalidSignatureException"
    path, _, query = request.path.partition("?")
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    pieces = (request.method, quote(path, safe="/~"), "&".join(sorted(query.split("&"))), headers, ";".join(names))
    canonical = "\n".join((*pieces, hashlib.sha256(request.body).hexdigest()))
    text = "\n".join(("AWS4-HMAC-SHA256", date, found["scope"], hashlib.sha256(canonical.encode()).hexdigest()))
    signing = f"AWS4{secret}".encode()
    for each in found["scope"].split("/"):
        signing = hmac.new(signing, each.encode(), hashlib.sha256).digest()
    right = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(right, found["signature"]) else "InvalidSignatureException"
