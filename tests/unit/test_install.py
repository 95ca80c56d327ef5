"""The line that installs what is missing: it works from any folder, for the Python that runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llx_magic.install import install_line, requirements, shown_interpreter

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("extra", "package"), [("local", "xllamacpp"), ("keyring", "keyring"), ("otel", "opentelemetry-sdk")]
)
def test_the_packages_of_an_extra_are_named_with_their_bounds(extra, package):
    (named,) = (each for each in requirements(extra) if each.startswith(package))
    assert any(sign in named for sign in "<>=")
    assert f"'{named}'" in install_line(extra)


def test_what_the_package_itself_does_not_declare_is_left_to_its_name():
    assert requirements("unheard-of") == ("llx-magic[unheard-of]",)


def test_the_interpreter_that_is_named_is_this_one():
    shown = subprocess.run(["sh", "-c", f"echo {shown_interpreter()}"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == sys.executable


def test_an_interpreter_below_the_home_folder_is_short_and_still_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    assert shown_interpreter() == "~/env/bin/python"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my env" / "python"))
    assert shown_interpreter() == f"'{tmp_path}/my env/python'"


def run(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), **env}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_in_a_notebook_it_is_the_magic_that_notebooks_have():
    code = """
from IPython.core.interactiveshell import InteractiveShell
from llx_magic.install import install_line
InteractiveShell().run_line_magic("load_ext", "llx_magic")
print(install_line("keyring"))
"""
    assert run(code, PATH="", HOME="/nowhere").splitlines()[-1].startswith("%pip install 'keyring")


def test_a_python_without_pip_is_installed_into_by_uv(tmp_path):
    """An environment that uv made has no pip."""
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    code = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "pip" else real(name, *more)
from llx_magic.install import install_line
print(install_line("keyring"))
"""
    said = run(code, PATH=str(tmp_path), HOME="/nowhere")
    assert said.startswith(f"uv pip install --python {sys.executable} 'keyring")
