"""Every link of the documentation leads to a file, and to a heading of it."""

from __future__ import annotations

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
