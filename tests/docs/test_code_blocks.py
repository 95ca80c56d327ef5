"""Every example of the documentation runs without a key, and prints what the page says it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llx_magic.providers.table import PROVIDERS
from tests.docs.pages import PAGES, PLAYED, ROOT, RUN, Page

NOT_RUN = {
    "CONTRIBUTING.md": 1,
    "README.md": 5,
    "docs/cluster.md": 2,
    "docs/command-line.md": 1,
    "docs/getting-started.md": 1,
    "docs/observability.md": 1,
    "docs/replay.md": 2,
    "docs/sharing.md": 1,
    "docs/teams.md": 6,
}
"""How many examples of each page say that they need something which a test does not have."""

OTHER_LANGUAGES = ("text", "json", "yaml", "toml")

KEYS = {known.key_variable for known in PROVIDERS.values()}


def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a page: no key, no profile, a home of its own, and ``llx`` on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in KEYS and not name.startswith(("LLXPRT", "OTEL"))
    }
    return kept | {
        "LLXPRT_CONFIG_HOME": str(tmp_path / "config"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLBACKEND": "agg",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def played(page: Page, tmp_path: Path) -> list[str | None]:
    """Return what each block of the page printed."""
    folder = tmp_path / "work"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.docs.play", str(page.path), str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs: list[str | None] = json.loads(done.stdout.rpartition("\x1e")[2])
    return outputs


def without_figures(text: str) -> str:
    """Return the text without what differs from run to run: times, and how much blank space is around them."""
    text = re.sub(r"\d[\d.,:]*(?:\s?(?:ms|s)\b)?", "#", text)
    return re.sub(r"\s+", " ", text).strip()


WITH_MODEL = ("README.md", "docs/getting-started.md")
"""The pages whose examples ask the embedded model."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.name, marks=[pytest.mark.model] if page.name in WITH_MODEL else []) for page in PLAYED],
)
def test_the_examples_of_the_page_run_and_print_what_it_says(page: Page, tmp_path: Path) -> None:
    blocks, outputs = page.blocks, played(page, tmp_path)
    for block, before, output in zip(blocks[1:], blocks, outputs, strict=False):
        if block.title == "output":
            assert output is not None, f"line {block.line}: {before.title}"
            assert without_figures(block.text) == without_figures(output), f"line {block.line}:\n{output}"


def test_few_examples_need_what_a_test_does_not_have() -> None:
    counts = {page.name: sum(block.title.startswith("needs ") for block in page.blocks) for page in PAGES}
    assert {name: count for name, count in counts.items() if count} == NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_the_page_names_its_language(page: Page) -> None:
    named = {block.line: block.language for block in page.blocks}
    assert {line: language for line, language in named.items() if language not in (*RUN, *OTHER_LANGUAGES)} == {}
