"""Every link of the documentation leads to a file, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Page


def problem_of(page: Page, link: str) -> str | None:
    """Return what is wrong with a link, or None; a link to the web is only looked at."""
    if link.startswith(("http://", "https://")):
        return None if "://" in link and " " not in link else "no address"
    name, _, anchor = link.partition("#")
    target = (page.path.parent / name).resolve() if name else page.path
    if not target.is_relative_to(ROOT) or not target.exists():
        return "no such file"
    if anchor and target.suffix == ".md" and anchor not in Page(target).anchors:
        return "no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_page_leads_somewhere(page: Page) -> None:
    assert {link: problem for link in page.links if (problem := problem_of(page, link))} == {}


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        names = (link.partition("#")[0] for link in Page(path).links if not link.startswith("http"))
        waiting += [(path.parent / name).resolve() for name in names if name]
    assert [page.name for page in PAGES if page.path not in reached] == []


def test_the_readme_is_read_in_one_go() -> None:
    """It has at most 150 lines, and begins with the promise and an example."""
    readme = Page(ROOT / "README.md")
    assert len(readme.path.read_text(encoding="utf-8").splitlines()) <= 150
    assert readme.blocks[0].line <= 15


PATH = re.compile(r"(?:[\w.-]+/)*[\w-]+\.(?:py|json|md|sh)|(?:[\w-]+/)+")
"""A piece of code that names a file or a folder."""


@pytest.mark.parametrize(
    "name", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/acceptance-report.md"]
)
def test_every_file_that_the_page_names_is_there(name: str) -> None:
    """A name is that of a file of the repository, or of the package."""
    named = [span for span in Page(ROOT / name).code_spans if PATH.fullmatch(span)]
    built = {"site/", "trusted.json"}
    gone = [path for path in named if not (ROOT / path).exists() and not (ROOT / "llx_magic" / path).exists()]
    assert sorted(set(gone) - built) == []


def test_every_word_of_the_glossary_is_a_word_of_the_code() -> None:
    page = Page(ROOT / "CONTRIBUTING.md").path.read_text(encoding="utf-8")
    glossary = page.partition("## Glossary")[2].partition("\n## ")[0]
    words = [word for row in re.findall(r"^\| ([^|]+) \|", glossary, re.MULTILINE)[2:] for word in row.split(", ")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "llx_magic").rglob("*.py")).lower()
    assert len(words) > 20
    assert [word for word in words if not re.search(rf"\b{word.replace('-', '.?')}", code)] == []
