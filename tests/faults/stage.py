"""Two backends on loopback, the first one faulty: what the claims about the fault table are made with."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import llx_magic as llx
from llx_magic.backends.http.trust import VARIABLES as CERTIFICATES
from tests.faults.matrix import ATTEMPTS, FIRST_TEXT, FIRST_USAGE, SECOND_TEXT, Place, Release, Row, script
from tests.faults.server import FaultServer, unused_url
from tests.notebook.kit import write_balancer, write_model

KEYS = {"first": "sk-first/Se+cret=0123456789", "second": "sk-second/Se+cret=9876543210"}
PROMPT = "Why test?"


def surround(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put keys into the environment, take proxies out of it, and have a configuration folder of the test's own."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("LLXPRT_DEBUG", "LLX_PROFILE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, key in KEYS.items():
        monkeypatch.setenv(f"FAULTS_KEY_{name.upper()}", key)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(home))
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))


def keys_in(text: str) -> list[str]:
    """Return whatever of a key stands in the text, plain or escaped."""
    forms = [form for key in KEYS.values() for form in (key, urllib.parse.quote(key, safe=""), key[3:16])]
    return [form for form in forms if form in text]


@dataclass
class Stage:
    """Two servers, and what was seen of one row."""

    first: FaultServer
    second: FaultServer
    address: str
    silent: socket.socket

    def model(self, name: str, base_url: str, **settings: Any) -> llx.ModelProfile:
        connection = llx.Connection(base_url=base_url, auth_key_env=f"FAULTS_KEY_{name.upper()}")
        return llx.ModelProfile(name, "openai", f"{name}-asked", settings=settings, connection=connection)

    @contextlib.asynccontextmanager
    async def balancer(self, limits: Any = None, **settings: Any) -> AsyncIterator[llx.LoadBalancer]:
        members = [
            self.model("first", self.address, **(limits or {})),
            self.model("second", self.second.base_url),
        ]
        values = {"failover_retry_count": ATTEMPTS, "failover_retry_delay_ms": 1, **settings}
        async with llx.load(llx.Profile.failover("matrix", members, values)) as made:
            yield made


@contextlib.contextmanager
def staged(
    *modes: Any, place: Place = Place.SERVER, certificate: str | None = None, second: Any = "ok"
) -> Iterator[Stage]:
    """Start both servers; the first one is where ``place`` says."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(
            FaultServer(*modes, text=FIRST_TEXT, model="first-model", usage=FIRST_USAGE, certificate=certificate)
        )
        behind = stack.enter_context(FaultServer(second, text=SECOND_TEXT, model="second-model"))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        first.elsewhere = f"{behind.base_url}/chat/completions"
        addresses: dict[Place, Callable[[], str]] = {
            Place.SERVER: lambda: first.base_url,
            Place.REFUSED: unused_url,
            Place.SILENT: lambda: f"https://127.0.0.1:{silent.getsockname()[1]}/v1",
            Place.UNKNOWN: lambda: "https://models.invalid/v1",
            Place.NO_TLS: lambda: first.base_url.replace("http:", "https:"),
            Place.UNENCRYPTED: lambda: "http://models.invalid/v1",
        }
        yield Stage(first, behind, addresses[place](), silent)


@contextlib.contextmanager
def stage_of(row: Row, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Start what a row is about."""
    with staged(*script(row.scripted), place=row.place, certificate=row.certificate) as stage:
        stage.first.chunk_delay = 0.001 if row.variant == "trickle" else 0.0
        if row.certificate and row.trusted:
            monkeypatch.setenv("SSL_CERT_FILE", stage.first.ca_file)
        if row.variant == "no key":
            monkeypatch.delenv("FAULTS_KEY_FIRST")
        if row.release is Release.AT_ONCE:
            stage.first.release()
        yield stage


def write_profiles(home: Path, stage: Stage, row: Row) -> str:
    """Write the profile of the two backends as a user would, and return its path."""
    write_model(home, "first", base_url=stage.address, auth_key_env="FAULTS_KEY_FIRST")
    write_model(home, "second", base_url=stage.second.base_url, auth_key_env="FAULTS_KEY_SECOND")
    member = home / "profiles" / "first.json"
    document = json.loads(member.read_text())
    document["ephemeralSettings"] |= row.limits
    member.write_text(json.dumps(document))
    settings = {"failover_retry_count": ATTEMPTS, "failover_retry_delay_ms": 1, **row.settings}
    write_balancer(home, "both", ["first", "second"], circuit_breaker_failure_threshold=1, **settings)
    return str(home / "profiles" / "both.json")
