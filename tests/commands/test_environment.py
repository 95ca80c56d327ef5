"""Nonsense in our variables of the environment is said once, whether they are used or not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from llx_magic.commands.environment import problems
from llx_magic.commands.here import Here
from llx_magic.commands.table import COMMANDS
from llx_magic.commands.where import Where

PACKAGE = Path(__file__).parents[2] / "llx_magic"
SHOWS_NOTHING = (
    "LLXPRT_DEBUG takes patterns of llxprt:lb and llxprt:circuit-breaker, such as llxprt:*; got {}, which shows nothing"
)
NO_ADDRESS = "LLX_SHARED must be an address such as redis://localhost:6379/0, or rediss:// with TLS"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith("LLX"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LLXPRT_DEBUG", "1", SHOWS_NOTHING.format("'1'")),
        ("LLXPRT_DEBUG", "llxprt:failover", SHOWS_NOTHING.format("'llxprt:failover'")),
        ("LLXPRT_DEBUG", "-llxprt:lb", SHOWS_NOTHING.format("'-llxprt:lb'")),
        ("LLX_TRUST", "OPENAI_API_KEY@api.openai.com, yes", "LLX_TRUST takes KEY@HOST, got 'yes'"),
        ("LLX_HTTP_TRANSPORT", "carrier", "LLX_HTTP_TRANSPORT must be direct or httpx, got 'carrier'"),
        ("LLX_SHARED", "localhost:6379", NO_ADDRESS),
        ("LLX_PROFIL", "x", "there is no variable LLX_PROFIL; did you mean LLX_PROFILE?"),
        ("LLX_DEBUG", "llxprt:*", "there is no variable LLX_DEBUG; did you mean LLXPRT_DEBUG?"),
        ("LLXPRT_DEBGU", "1", "there is no variable LLXPRT_DEBGU; did you mean LLXPRT_DEBUG?"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_is_allowed(name, value, said, monkeypatch):
    monkeypatch.setenv(name, value)
    assert problems() == [said]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LLXPRT_DEBUG", "llxprt:*"),
        ("LLXPRT_DEBUG", "llxprt:gemini, *:lb"),
        ("LLXPRT_DEBUG", ""),
        ("LLX_TRUST", "OPENAI_API_KEY@api.openai.com"),
        ("LLX_HTTP_TRANSPORT", "httpx"),
        ("LLX_SHARED_NAME", "whatever it is"),
        ("LLX_KEY", "the user's own"),
        ("LLXPRT_PROFILE", "another program's"),
    ],
)
def test_nothing_is_said_of_what_makes_sense_and_of_what_is_not_ours(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    assert problems() == []


def test_it_is_said_once_and_again_when_it_is_other_nonsense(monkeypatch, capsys):
    monkeypatch.setenv("LLXPRT_DEBUG", "1")
    here = Here(Where.SHELL, lambda: None)
    for _ in range(2):
        here.carry_out(COMMANDS["completion"], ["bash"])
    monkeypatch.setenv("LLXPRT_DEBUG", "true")
    here.carry_out(COMMANDS["completion"], ["bash"])
    assert capsys.readouterr().err.splitlines() == [f"llx: {SHOWS_NOTHING.format(each)}" for each in ("'1'", "'true'")]


def test_every_variable_that_the_package_reads_is_known_to_the_check():
    known = (PACKAGE / "commands" / "environment.py").read_text(encoding="utf-8")
    for path in PACKAGE.rglob("*.py"):
        for name in re.findall(r'"(LLX(?:PRT)?_[A-Z_]+)"', path.read_text(encoding="utf-8")):
            assert f'"{name}"' in known, f"{path.name} reads {name}"
