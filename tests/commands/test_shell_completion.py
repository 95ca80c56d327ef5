"""What bash, zsh and fish complete behind ``llx``: asked of each shell that is installed, as its user presses tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llx_magic.commands.completion import completions
from llx_magic.commands.here import Here
from llx_magic.commands.table import commands_at
from llx_magic.commands.where import Where
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile
from llx_magic.session.session import Session
from tests.commands.command import ROOT, Home

BASH = """
eval "$(llx completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
_llx
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    session = Session()
    for name in ("alpha", "beta"):
        session.store.save(ModelProfile(name, "simulated", "m"))
    session.store.save(LoadBalancerProfile("both", "failover", ("alpha", "beta")))
    return session


def offered(session: Session, line: str) -> list[str]:
    return completions(Here(Where.SHELL, lambda: session), line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("llx pro", ["profile"]),
        ("llx profile sh", ["show"]),
        ("llx profile show al", ["alpha"]),
        ("llx 'profile' show 'al", ["alpha"]),
        ("llx profile save model x --provider gro", ["groq"]),
        ("llx -p bo", ["both"]),
        ("llx --profile=bo", ["--profile=both"]),
        ("llx -p both -b ", ["alpha", "beta"]),
        ("llx --set tpm_basis=", ["tpm_basis=elapsed", "tpm_basis=busy"]),
        ("llx --set=tpm_basis=b", ["--set=tpm_basis=busy"]),
        ("llx set tpm_b", ["tpm_basis"]),
        ("llx completion ", ["bash", "zsh", "fish"]),
        ("llx profile save model x --key-file ", []),
        ("llx -p missing -b ", []),
        ("llx why is the s", []),
    ],
)
def test_the_word_at_the_cursor_is_completed(session, line, words):
    assert offered(session, line) == words


def test_the_first_word_is_a_command_or_an_option_of_a_prompt(session):
    assert offered(session, "llx ")[: len(commands_at(Where.SHELL))] == [row.name for row in commands_at(Where.SHELL)]
    options = offered(session, "llx --")
    assert {"--profile", "--stats", "--prompt", "--version"} <= set(options)
    assert not {"--out", "--bg", "--raw", "--next-cell"} & set(options)


def test_a_broken_file_offers_nothing_and_raises_nothing(session):
    (session.store.folder / "bad.json").write_text("{")
    assert offered(session, "llx -p bad -b ") == []


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """A folder with a profile in it, and an ``llx`` on the path."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.simulated("alpha")
    program = home.folder / "bin" / "llx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m llx_magic "$@"\n')
    program.chmod(0o755)
    home.env |= {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return home


def asked_of(shell: str, home: Home, script: str, *words: str) -> list[str]:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [path, "-c", script, shell, *words], capture_output=True, text=True, env=home.env, cwd=home.folder, check=False
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("llx prof", ["profile"]),
        ("llx profile load al", ["alpha"]),
        ("llx --set tpm_basis=", ["elapsed", "busy"]),
        ("llx --set time", ["timeout_ms="]),
        ("llx --profile=al", ["alpha"]),
        ("llx -p nobody-of-that-name", [""]),
    ],
)
def test_bash_completes_what_is_typed(home, line, words):
    assert asked_of("bash", home, BASH, line) == words


def test_fish_completes_what_is_typed(home):
    script = "llx completion fish | source; complete -C $argv[1]"
    path = shutil.which("fish")
    if path is None:
        pytest.skip("fish is not installed")
    done = subprocess.run(
        [path, "-c", script, "llx profile load al"], capture_output=True, text=True, env=home.env, check=False
    )
    assert done.stdout.split() == ["alpha"]


ZSH = """
import pexpect, sys
shell = pexpect.spawn(sys.argv[1], ["-f", "-i"], encoding="utf-8", timeout=60, dimensions=(24, 200))
shell.sendline("PS1='ready> '; autoload -Uz compinit; compinit -u; eval \\"$(llx completion zsh)\\"; echo do''ne")
shell.expect("done")
shell.send("llx profile load al\\t")
shell.expect("llx profile load alpha")
"""


def test_zsh_completes_what_is_typed(home):
    path = shutil.which("zsh")
    if path is None:
        pytest.skip("zsh is not installed")
    env = home.env | {"HOME": str(home.folder), "TERM": "dumb"}
    done = subprocess.run([sys.executable, "-c", ZSH, path], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_what_that_shell_reads(home, tmp_path: Path, shell):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "llx"
    script.write_text(home.run("completion", shell).stdout)
    done = subprocess.run([path, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
