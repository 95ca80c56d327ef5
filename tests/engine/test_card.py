"""By what name others know this process."""

from __future__ import annotations

import os
import sys

import pytest

from llx_magic import hosts
from llx_magic.core.peers import LONGEST_NAME
from llx_magic.engine import card
from llx_magic.engine.card import take_role, whoami
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.session.session import Session


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LLX_SHARED_NAME", "JPY_SESSION_NAME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ("analysis.ipynb", "analysis.ipynb"),
        ("/home/somebody/studies/analysis.ipynb", "analysis.ipynb"),
        (r"C:\Users\somebody\analysis.ipynb", "analysis.ipynb"),
        ("/w/my notes.ipynb", "my notes.ipynb"),
        ("/w/analysis-jvsc-0a1b2c3d-4e5f-6789-abcd-ef0123456789.ipynb", "analysis.ipynb"),
        ("\x1b[31mred\n.ipynb", "red .ipynb"),
        ("n" * 200, "n" * (LONGEST_NAME - 1) + "…"),
    ],
)
def test_a_notebook_is_known_by_its_name_without_the_path(monkeypatch, session, name):
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert whoami().name == name


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/home/somebody/etl.py", "etl.py"),
        ("/usr/lib/python3/site-packages/llx_magic/__main__.py", "llx_magic"),
        ("/usr/bin/llx", "llx"),
        ("-c", "python"),
        ("", "python"),
    ],
)
def test_a_program_is_known_by_its_file(monkeypatch, program, name):
    monkeypatch.setattr(sys, "argv", [program])
    assert whoami().name == name


@pytest.mark.parametrize("given", ["nightly", ""])
def test_the_variable_says_another_name_or_none(monkeypatch, given):
    monkeypatch.setenv("JPY_SESSION_NAME", "analysis.ipynb")
    monkeypatch.setenv("LLX_SHARED_NAME", given)
    assert whoami().name == given


def test_a_role_goes_before_the_notebook_whose_variables_were_inherited(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "analysis.ipynb")
    monkeypatch.setattr(card, "_roles", [])
    take_role("Dask worker")
    assert whoami().name == "Dask worker"


def test_a_notebook_that_is_a_worker_too_stays_a_notebook(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "analysis.ipynb")
    monkeypatch.setattr(card, "_roles", [])
    hosts.enter(Session)
    try:
        take_role("Dask worker")
        assert whoami().name == "analysis.ipynb"
    finally:
        hosts.leave(Session)


def test_a_key_in_a_name_is_not_told(monkeypatch):
    LIVE_KEYS.add("sk-one-key-of-the-test-42")
    monkeypatch.setenv("LLX_SHARED_NAME", "runs with sk-one-key-of-the-test-42")
    assert "one-key" not in whoami().name


def test_the_number_is_that_of_the_process():
    assert whoami().process == os.getpid()
