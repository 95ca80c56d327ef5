"""What is built from the sources works without them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROFILES = {path.name for path in (ROOT / "profiles").glob("*.json")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    return out


def test_the_wheel_holds_the_code_and_the_shipped_profiles(built: Path) -> None:
    """Every module of the package and every profile of the repository is in the wheel, and nothing of the tests."""
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "llx_magic").rglob("*.py")}
    assert modules <= names
    assert {f"llx_magic/profiles/shipped/{name}" for name in PROFILES} <= names
    assert "llx_magic/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]


def test_the_wheel_puts_the_front_end_extension_where_jupyterlab_looks_for_it(built: Path) -> None:
    """It is ready to run, and its version, by which browsers tell an old copy from a new one, is the package's."""
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    (root,) = (
        name.partition("/")[0] for name in wheel.namelist() if name.endswith("/labextensions/llx-magic/install.json")
    )
    place = f"{root}/data/share/jupyter/labextensions/llx-magic"
    package = json.loads(wheel.read(f"{place}/package.json"))
    version = root.removeprefix("llx_magic-").removesuffix(".data")
    assert package["name"] == "llx-magic"
    assert package["version"] == version
    file, _, marked = package["jupyterlab"]["_build"]["load"].partition("?")
    assert marked == version
    assert wheel.read(f"{place}/{file}") == (ROOT / "labextension" / file).read_bytes()


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    """The sources can be tested from the sdist: tests, profiles, notebooks and the Makefile are in it."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "labextension/package.json",
        "pyproject.toml",
        "profiles/demo.json",
        "notebooks/quickstart.ipynb",
        ".importlinter",
    } <= names
    assert any(name.startswith("tests/acceptance/") for name in names)


@pytest.mark.slow
def test_what_users_write_has_the_types_that_it_should_have_where_the_wheel_is_installed(built: Path, tmp_path: Path):
    """The strict type checker finds nothing in a user's code, and refuses each line that it is told it must."""
    venv.create(tmp_path / "venv")
    (installed,) = (tmp_path / "venv").glob("**/site-packages")
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(installed)
    (installed / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = shutil.copy(ROOT / "tests" / "typing" / "user_code.py", tmp_path)
    options = ["--strict", "--config-file", "", "--cache-dir", "cache", "--python-executable", str(python)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")


def test_the_wheel_works_without_the_repository(built: Path, tmp_path: Path) -> None:
    """Installed elsewhere, the command lists the shipped profiles and the package answers from its own copy."""
    target = tmp_path / "site"
    wheel = next(built.glob("*.whl"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=100)
    env = {**os.environ, "PYTHONPATH": str(target), "LLXPRT_CONFIG_HOME": str(tmp_path / "config")}
    code = (
        "import llx_magic as llx; print(llx.__file__);"
        "member = llx.ModelProfile('sim', 'simulated', 'small', params={'reply': 'From the wheel.'});"
        "print(llx.ask('hello', profile=llx.Profile.single(member)).text)"
    )
    answered = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60
    )
    where, text = answered.stdout.splitlines()
    assert Path(where).is_relative_to(target)
    assert text == "From the wheel."
    listed = subprocess.run(
        [sys.executable, "-m", "llx_magic", "profile", "list"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert all(name.removesuffix(".json") in listed.stdout for name in PROFILES)
