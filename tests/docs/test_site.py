"""The pages build as a site, without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any warning, such as of a link without a target, ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_readme_is_the_first_page_and_its_links_lead_into_the_site(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    for target in (
        "getting-started.html",
        "SECURITY.html",
        "notebooks/quickstart.ipynb",
        "images/quickstart-dark.png",
    ):
        assert f'"{target}"' in first
        assert (site / target).exists()


def test_every_public_name_is_documented_from_its_docstring(site: Path) -> None:
    import llx_magic

    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    public = [name for name in llx_magic.__all__ if not name.startswith("_") and "ipython" not in name]
    assert [name for name in public if f'id="llx_magic.{name}"' not in page and f"errors.{name}" not in page] == []


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    """What a page loads is its own: no font, script, style or picture of another host."""
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not [
            each for each in ('src="http', '<link rel="stylesheet" href="http', "fonts.googleapis") if each in text
        ]
