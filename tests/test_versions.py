"""What `make versions` holds the package to, as far as it can be said without installing anything."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def _script() -> ModuleType:
    found = importlib.util.spec_from_file_location("versions", ROOT / "scripts" / "versions.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules["versions"] = made  # where its dataclasses look up their annotations
    found.loader.exec_module(made)
    return made


versions = _script()
OWN = versions.requirements()[0]


@pytest.mark.parametrize("requirement", OWN)
def test_what_we_require_has_a_lower_bound_in_which_published_holes_are_mended(requirement):
    name, _, rest = versions.lowest(requirement).partition("==")
    bound = rest.partition(";")[0]
    mended = versions.MENDED.get(name, ("0",))[0]
    assert versions._number(bound) >= versions._number(mended)


def test_the_http_library_is_not_taken_from_a_major_version_of_which_only_pre_releases_exist():
    [httpx] = [each for each in OWN if each.startswith("httpx")]
    assert "<1" in httpx


def test_the_oldest_allowed_packages_are_the_lower_bounds_with_their_markers_kept():
    assert versions.lowest("httpx>=0.27,<1") == "httpx==0.27"
    assert versions.lowest("pandas>=2.2.3; python_version >= '3.13'") == "pandas==2.2.3; python_version >= '3.13'"


@pytest.mark.skipif(sys.platform == "win32", reason="its version managers have no shims of this kind")
def test_a_python_is_found_beside_a_shim_that_does_not_run(tmp_path, monkeypatch):
    """As with pyenv, where the version is installed but not chosen."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shim, real = tmp_path / "shims" / f"python{version}", tmp_path / "versions" / f"{version}.9" / "bin" / "python"
    for file in (shim, real):
        file.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    real.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    real.chmod(0o755)
    monkeypatch.setenv("PATH", str(shim.parent))
    for name in ("PYTHON", "PYENV_ROOT"):
        monkeypatch.delenv(name, raising=False)
    assert versions.find_python(version) == real
    real.unlink()
    assert versions.find_python(version) is None
