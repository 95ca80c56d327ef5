"""A user's world in which every way of holding a key is in use, and servers that repeat the key they are sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from llx_magic.keys.keychain import ORIGINAL_SERVICE, SERVICE
from llx_magic.session.session import Session
from tests.faults.server import Exchange, FaultServer, Mode
from tests.logins import LoginServer, aws_in, entra_in, google_in, without_logins
from tests.notebook.kit import write_balancer, write_model
from tests.secrets.forms import form_at
from tests.secrets.vault import FileKeyring
from tests.signatures import signature_of
from tests.typed import Typed

keys = Typed("key")

WAYS = (
    "literal", "variable", "usual-variable", "key-file", "keyring", "original-keyring", "llx-key", "header",
    "literal-header", "aws", "entra", "google",
)  # fmt: skip
"""The ways in which a key can come: each is a member of the load balancer, and has a key of its own."""

FORMS: dict[str, dict[str, object]] = {
    "anthropic": {},
    "gemini": {},
    "ollama": {},
    "cohere": {},
    "bedrock": {"aws_region": "us-east-1"},
    "azure": {},
    "azure-dated": {"provider": "azure", "api_version": "2024-10-21"},
    "responses": {"provider": "openai", "form": "responses"},
    "mantle": {"provider": "bedrock-mantle", "aws_region": "us-east-1"},
}
"""The services that are asked in their own form or send a key in their own header, and what a profile says of each."""

HEADERS = ("x-gateway-key", "api-key", "x-api-key", "x-goog-api-key", "authorization")
"""Where a key is sent, the first that is there."""

SPOKEN = "sk-no-secret"
"""What a server repeats where it was sent no key."""


def _said(exchange: Exchange) -> str:
    sent = exchange.request.headers
    key = next((sent[name] for name in HEADERS if name in sent), f"Bearer {SPOKEN}")
    if token := sent.get("x-amz-security-token"):  # and the signature, one after the other
        key = token if len(exchange.server.requests) % 2 else signature_of(exchange.request)
    return exchange.server.model or key.removeprefix("Bearer ")


def every_form(key: str) -> str:
    """A sentence with the key in all its disguises, and with most of it."""
    packed = base64.b64encode(f"Bearer {key}".encode()).decode()
    safe = base64.urlsafe_b64encode(key.encode()).decode()
    escapes = "".join(f"\\u{ord(c):04x}" for c in key)
    forms = (key, quote(key, safe=""), json.dumps(key), repr(key), escapes, packed, safe, key.encode().hex())
    return " or ".join((*forms, key[: len(key) * 2 // 3], key[len(key) // 3 :]))


def nested_error(exchange: Exchange) -> None:
    said = every_form(_said(exchange))
    inner = {"message": said, "code": _said(exchange), "type": _said(exchange), "param": {"key": _said(exchange)}}
    exchange.whole(401, json.dumps({"error": {"error": inner}, "detail": [said]}).encode())


def redirect(exchange: Exchange) -> None:
    key = quote(_said(exchange), safe="")
    exchange.whole(302, b"", {"Location": f"https://{SPOKEN}@elsewhere.example/{key}?key={key}"})


def title(exchange: Exchange) -> None:
    page = f"<html><title>{_said(exchange)}</title></html>".encode()
    exchange.whole(200, page, {"Content-Type": "text/html"})


def plain_text(exchange: Exchange) -> None:
    exchange.whole(503, every_form(_said(exchange)).encode(), {"Content-Type": "text/plain"})


def broken_event(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.event('{"choices": ' + _said(exchange))
    exchange.end_stream()


def bad_protocol(exchange: Exchange) -> None:
    exchange.send(f"HTTP/1.1 4x4 {_said(exchange)}\r\n\r\n".encode())
    exchange.close()


def bad_encoding(exchange: Exchange) -> None:
    exchange.whole(200, b"{}", {"Content-Encoding": _said(exchange)})


def reason(exchange: Exchange) -> None:
    exchange.head(500, {"Content-Length": "0", "X-Echo": _said(exchange)}, reason=_said(exchange))


def retry_after(exchange: Exchange) -> None:
    exchange.whole(429, json.dumps({"message": _said(exchange)}).encode(), {"Retry-After": _said(exchange)})


def text_then_error(exchange: Exchange) -> None:
    if form := form_at(exchange.request.path):
        return form.reply(exchange, _said(exchange), failing=every_form(_said(exchange)))
    _stream_key(exchange)
    exchange.event({"error": {"message": every_form(_said(exchange))}})
    return exchange.end_stream()


def text(exchange: Exchange) -> None:
    """Answer, with the key in the text, the reasoning, the model's name and the finish reason."""
    if form := form_at(exchange.request.path):
        return form.reply(exchange, _said(exchange))
    if not exchange.streaming:
        whole: Any = exchange.completion(f"You are {_said(exchange)}.", finish_reason=_said(exchange))
        whole["choices"][0]["message"]["reasoning"] = f"You are {_said(exchange)}."
        return exchange.whole(200, json.dumps({**whole, "model": _said(exchange)}).encode())
    _stream_key(exchange)
    exchange.event(exchange.delta(finish_reason=_said(exchange)))
    exchange.event("[DONE]")
    return exchange.end_stream()


def _stream_key(exchange: Exchange) -> None:
    exchange.begin_stream()
    said = _said(exchange)
    for kind in ("reasoning", "content"):
        sentence = f"You are {said}."
        for at in range(0, len(sentence), 5):
            exchange.event({**exchange.delta(**{kind: sentence[at : at + 5]}), "model": said})


FAULTS: tuple[Mode, ...] = (
    nested_error, redirect, title, plain_text, broken_event, bad_protocol, bad_encoding, reason, retry_after,
    text_then_error,
)  # fmt: skip
"""All ways in which a server repeats a key without answering."""


@dataclass
class Scene:
    """Where things are, and what must not be found."""

    home: Path
    server: FaultServer
    secrets: dict[str, str]
    users_own: tuple[Path, ...] = ()
    logins: tuple[LoginServer, ...] = ()
    members: tuple[str, ...] = WAYS
    name: str = "all-ways"


def furnish(folder: Path, make_key: Callable[[str], str], setenv: Callable[[str, str], None]) -> Scene:
    """Put a key of its own into each place where a key can be, and write the profiles that use them."""
    home = folder / "config"
    secrets = {way: make_key(way) for way in WAYS}
    server = FaultServer(model="")
    vault = FileKeyring()
    setenv("MINE_IS_HERE", secrets["variable"])
    setenv("HELD_BY_A_HEADER", secrets["header"])
    setenv("OPENAI_API_KEY", secrets["usual-variable"])
    setenv("https_proxy", server.base_url.removesuffix("/v1"))
    key_file = folder / "key.txt"
    key_file.write_text(secrets["key-file"] + "\n")
    key_file.chmod(0o600)
    vault.set_password(SERVICE, "in-ring", secrets["keyring"])
    vault.set_password(ORIGINAL_SERVICE, "theirs", secrets["original-keyring"])
    keys.run(Session(), "set asked", ask_hidden=lambda _question: secrets["llx-key"])
    held: dict[str, dict[str, object]] = {
        "literal": {"auth_key": secrets["literal"]},
        "variable": {"auth_key_env": "MINE_IS_HERE"},
        "key-file": {"auth_keyfile": str(key_file)},
        "keyring": {"auth_key_name": "in-ring"},
        "original-keyring": {"auth_key_name": "theirs"},
        "llx-key": {"auth_key_name": "asked"},
        "header": {"custom_headers": {"X-Gateway-Key": "${HELD_BY_A_HEADER}"}},
        "literal-header": {"custom_headers": {"Api-Key": secrets["literal-header"]}},
    }
    for way, connection in held.items():
        write_model(home, way, base_url=server.base_url, **connection)
    given = _logins(folder, secrets, setenv)
    for auth in ("sigv4", "entra", "google"):
        way = "aws" if auth == "sigv4" else auth
        write_model(home, way, base_url=server.base_url, auth=auth, aws_region="us-east-1")
    write_model(home, "usual-variable")
    write_balancer(home, "all-ways", list(WAYS), failover_retry_count=1, circuit_breaker_enabled=False)
    users_own = tuple(home / "profiles" / f"{way}.json" for way in ("literal", "literal-header"))
    return Scene(home, server, {**secrets, "aws-secret-key": given[0].secret}, users_own, given)


def in_every_form(folder: Path, make_key: Callable[[str], str], setenv: Callable[[str, str], None]) -> Scene:
    """Have a member for each service's own form, with a key of its own."""
    home, server = folder / "config", FaultServer(model="")
    secrets = {form: make_key(form) for form in FORMS}
    for number, (form, connection) in enumerate(FORMS.items()):
        setenv(f"HELD_FOR_{number}", secrets[form])
        root = server.base_url if form in ("responses", "mantle") else server.base_url.removesuffix("/v1")
        held = {"base_url": root, "auth_key_env": f"HELD_FOR_{number}"}
        write_model(home, form, **{"provider": form, **connection, **held})
    write_balancer(home, "every-form", list(FORMS), failover_retry_count=1, circuit_breaker_enabled=False)
    return Scene(home, server, secrets, members=tuple(FORMS), name="every-form")


def _logins(folder: Path, secrets: dict[str, str], setenv: Callable[[str, str], None]) -> tuple[LoginServer, ...]:
    """Have each library find its user signed in, with a secret of its own."""
    without_logins(folder, setenv)
    aws = LoginServer(secrets["aws"], secret=f"{secrets['aws']}/of+aws="[::-1])
    entra, google = LoginServer(secrets["entra"]), LoginServer(secrets["google"])
    aws_in(aws, setenv)
    entra_in(entra, setenv)
    google_in(google, setenv, folder)
    return aws, entra, google


def planted(folder: Path, mark: str) -> Scene:
    """The same world with one mark in place of every key, where it is allowed: what finds nothing here is blind."""
    home = folder / "config"
    server = FaultServer(model=mark)
    write_model(home, mark, base_url=server.base_url)
    write_model(home, f"{mark}-2", base_url=server.base_url)
    keys.run(Session(), f"set {mark}", ask_hidden=lambda _question: "sk-of-no-interest")
    members = (mark, f"{mark}-2")
    write_balancer(home, f"{mark}-all", list(members), failover_retry_count=1, circuit_breaker_enabled=False)
    return Scene(home, server, {"mark": mark}, members=members, name=f"{mark}-all")
