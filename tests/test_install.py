"""The line that installs what is missing: it works from any folder, for the Python that runs."""

from __future__ import annotations

import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from llx_magic.install import install_line, requirements, shown_interpreter

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("extra", "package"), [("local", "xllamacpp"), ("keyring", "keyring"), ("otel", "opentelemetry-sdk")]
)
def test_the_packages_of_an_extra_are_named_with_their_bounds(extra, package):
    (named,) = (each for each in requirements(extra) if each.startswith(package))
    assert any(sign in named for sign in "<>=")
    assert f"'{named}'" in install_line(extra)


def test_what_the_package_itself_does_not_declare_is_left_to_its_name():
    assert requirements("unheard-of") == ("llx-magic[unheard-of]",)


@pytest.mark.posix("there is no POSIX shell on Windows")
def test_the_interpreter_that_is_named_is_this_one():
    shown = subprocess.run(["sh", "-c", f"echo {shown_interpreter()}"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == sys.executable


@pytest.mark.posix("there is no POSIX shell on Windows")
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


SAYS = 'from llx_magic.install import install_line; print(install_line("keyring"))'


def bare_python(folder: Path) -> Path:
    """A Python with our dependencies and without pip, as uv makes environments."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def said_by(python: Path, path: str, cwd: Path) -> str:
    code = f"import sys; sys.path += {[str(ROOT), *site.getsitepackages()]!r}; {SAYS}"
    env = {"PATH": path, "HOME": "/nowhere"}
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=env, cwd=cwd).stdout


def put_uv(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "uv").write_text("#!/bin/sh\n")
    (folder / "uv").chmod(0o755)


@pytest.mark.posix("Windows has no named pipes of this kind")
def test_a_python_without_pip_is_installed_into_by_uv(tmp_path):
    """An environment that uv made has no pip."""
    put_uv(tmp_path / "programs")
    python = bare_python(tmp_path / "bare")
    said = said_by(python, str(tmp_path / "programs"), tmp_path)
    assert said.startswith(f"uv pip install --python {python} 'keyring")


@pytest.mark.posix("Windows has no named pipes of this kind")
@pytest.mark.parametrize("path", ["", ":", ".", "here", "{}/nowhere::", "{}"])
def test_neither_a_uv_nor_a_pip_of_the_working_folder_is_taken_for_an_installer(tmp_path, path):
    for folder in (tmp_path, tmp_path / "here"):
        put_uv(folder)
        (folder / "pip.py").write_text("raise SystemExit('run')")
    python = bare_python(tmp_path / "bare")
    assert " -m pip install 'keyring" in said_by(python, path.format(tmp_path), tmp_path)
