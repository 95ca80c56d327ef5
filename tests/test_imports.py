"""Imports go down only, and loading the extension imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "httpx", "httptools", "pandas", "matplotlib", "ipywidgets", "numpy", "jinja2", "markdown_it", "nh3", "tqdm",
    "xllamacpp", "botocore", "azure", "google.auth",
    "msgspec", "llx_magic.session", "llx_magic.commands.here", "llx_magic.commands.output", "llx_magic.engine",
    "llx_magic.backends", "llx_magic.errors", "llx_magic.key_shapes", "llx_magic.commands.command",
)  # fmt: skip


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_import_rule_holds():
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [tool, "--config", ".importlinter", "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def loaded_after(code: str) -> str:
    return python(f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])")


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import llx_magic") == ""


def test_loading_the_extension_imports_nothing_heavy():
    """IPython itself is what the user has open already; what it brings does not count."""
    before = set(loaded_after("from IPython.core.interactiveshell import InteractiveShell").split())
    after = loaded_after(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'llx_magic')"
    )
    assert set(after.split()) <= before
    assert not before & {"httpx", "httptools", "pandas", "matplotlib", "ipywidgets"}


def test_help_and_settings_on_the_command_line_need_no_pandas_and_no_matplotlib():
    after = loaded_after("import llx_magic.cli as cli, contextlib, io\n"
                         "with contextlib.redirect_stdout(io.StringIO()): cli.main(['set', '--list'])")  # fmt: skip
    assert not {"pandas", "matplotlib", "numpy", "ipywidgets"} & set(after.split())


@pytest.mark.parametrize(
    "name",
    [
        "AllBackendsFailed", "Connection", "Delta", "KeyMissing", "LlxError", "LoadBalancer", "Message", "ModelProfile",
        "Part", "Profile", "ProfileError", "Reply", "Restart", "SettingError", "Usage", "UsageProblem", "ask", "load",
    ],
)  # fmt: skip
def test_every_public_name_is_there_when_it_is_asked_for(name):
    import llx_magic

    assert name in llx_magic.__all__
    assert name in dir(llx_magic)
    assert getattr(llx_magic, name) is not None


def test_a_star_import_leaves_the_map_of_python_alone():
    import llx_magic

    assert "map" not in llx_magic.__all__
    assert llx_magic.map is not map
    assert "map" in dir(llx_magic)


def test_a_name_that_is_not_public_is_an_attribute_error():
    import llx_magic

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        llx_magic.nonsense  # noqa: B018
