"""What the mocks send, the services' own clients read, and what these clients send, the mocks take.

The forms are held to the mocks, so a mock that is stricter or laxer than its service would hold them to the wrong
thing. The clients are in an environment of their own, which ``make clients`` makes: none of them is beside our code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.clients.official import CLIENTS
from tests.faults.asking import KEY
from tests.faults.server import FaultServer
from tests.wires.mocks import anthropic, azure, bedrock, cohere, gemini, ollama, openai, responses

PYTHON = Path(sys.prefix, "clients", "bin", "python")
OFFICIAL = Path(__file__).with_name("official.py")

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="the clients are not installed: make clients")


@dataclass(frozen=True)
class Asked:
    """The mock that a client asks, what it is given for it, and the text that it must read."""

    server: FaultServer
    key: str
    model: str
    text: str
    more: dict[str, object] = field(default_factory=dict)


def _claude(door: str = "") -> Asked:
    return Asked(anthropic.ClaudeServer(door), KEY, anthropic.MODEL, FaultServer.DEFAULT_TEXT)


def _bedrock(server: FaultServer, env: dict[str, str]) -> Asked:
    return Asked(server, bedrock.KEY, bedrock.MODEL, bedrock.TEXT, {"env": env, "region": bedrock.REGION})


def _bedrock_with_a_key() -> Asked:
    """The client sends no key over plain http, on loopback either."""
    server = FaultServer(bedrock.answer, certificate="trusted")
    return _bedrock(server, {"AWS_BEARER_TOKEN_BEDROCK": bedrock.KEY, "AWS_CA_BUNDLE": server.ca_file})


def _bedrock_signed() -> Asked:
    env = {"AWS_ACCESS_KEY_ID": bedrock.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": bedrock.SECRET}
    return _bedrock(bedrock.serve(), env)


def _azure() -> Asked:
    return Asked(azure.serve(), azure.KEY, azure.DEPLOYMENT, azure.TEXT)


ASKED = {
    "anthropic": _claude,
    "anthropic-vertex": lambda: _claude("vertex"),
    "anthropic-foundry": lambda: _claude("foundry"),
    "anthropic-mantle": lambda: _claude("mantle"),
    "openai-chat": lambda: Asked(openai.serve(), openai.KEY, openai.MODEL, openai.TEXT),
    "openai-responses": lambda: Asked(responses.serve(), responses.KEY, responses.MODEL, responses.TEXT),
    "azure-chat": _azure,
    "azure-responses": _azure,
    "azure-dated-chat": _azure,
    "azure-dated-responses": _azure,
    "mistral": lambda: Asked(openai.serve(), openai.KEY, openai.MODEL, openai.TEXT),
    "gemini": lambda: Asked(gemini.serve(), gemini.KEY, gemini.MODEL, gemini.TEXT),
    "gemini-vertex": lambda: Asked(gemini.serve(), gemini.TOKEN, gemini.MODEL, gemini.TEXT),
    "ollama": lambda: Asked(ollama.serve(), "", ollama.MODEL, ollama.TEXT),
    "cohere": lambda: Asked(cohere.serve(), cohere.KEY, cohere.MODEL, cohere.TEXT),
    "bedrock-key": _bedrock_with_a_key,
    "bedrock-signed": _bedrock_signed,
}


def test_every_client_has_a_mock():
    assert list(ASKED) == list(CLIENTS)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_services_own_client_reads_the_mock_whole_and_streamed(name, tmp_path):
    asked = ASKED[name]()
    with asked.server as server:
        root = server.base_url.removesuffix("/v1")
        given = json.dumps({"root": root, "key": asked.key, "model": asked.model, **asked.more})
        ran = subprocess.run(
            [PYTHON, OFFICIAL, name, given],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout)
    assert found["whole"] == "".join(found["streamed"]) == asked.text
    assert sum(map(bool, found["streamed"])) > 1
    assert len(server.requests) == 2
